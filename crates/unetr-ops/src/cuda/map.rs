use candle_core::{DType, Result, Tensor};

use super::launch::{suffix, vectors};
use super::{Array, Launch, args, launch};

/// A feature map with its channels last.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    /// `[batch, height, width, channels]`
    pub(crate) array: Array,
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Map {
    pub(crate) fn new(array: Array, [batch, height, width, channels]: [usize; 4]) -> Self {
        Self {
            array: array.into_shape([batch, height, width, channels]),
            batch,
            height,
            width,
            channels,
        }
    }

    /// A map yet to be written, of the size of this one.
    pub(crate) fn like(&self, channels: usize) -> Result<Self> {
        let dims = [self.batch, self.height, self.width, channels];
        Ok(Self::new(
            Array::empty(self.array.device(), self.array.dtype(), dims)?,
            dims,
        ))
    }

    pub(crate) fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// As a matrix `[pixels of all images, channels]`.
    pub(crate) fn matrix(&self) -> Array {
        self.array
            .reshape([self.batch * self.pixels(), self.channels])
    }

    /// `[batch, channels, height, width]` in a type, the channels filled up with zeros to a multiple of
    /// `multiple`. Views of maps with channels last are taken as they are.
    pub(crate) fn of(xs: &Tensor, dtype: DType, multiple: usize) -> Result<Self> {
        let (batch, channels, height, width) = xs.dims4()?;
        let padded = channels.next_multiple_of(multiple);
        let last = xs.detach().permute((0, 2, 3, 1))?;
        let dims = [batch, height, width, padded];
        if last.is_contiguous() && padded == channels {
            return Ok(Self::new(Array::of(&last)?.to_dtype(dtype)?, dims));
        }
        let planes = [batch, channels, height * width];
        let last = channels_last(&Array::of(xs)?, planes, padded, dtype)?;
        Ok(Self::new(last, dims))
    }

    /// The first `channels` of the map.
    pub(crate) fn without_padding(self, channels: usize) -> Result<Self> {
        match self.channels == channels {
            true => Ok(self),
            false => self.channels(0, channels),
        }
    }

    /// So many channels, from one on.
    pub(crate) fn channels(&self, first: usize, count: usize) -> Result<Self> {
        let part = self.like(count)?;
        self.copy(first, count, &part, 0)?;
        Ok(part)
    }

    /// Several maps, one after the other along the channels.
    pub(crate) fn concatenate(maps: &[Self]) -> Result<Self> {
        if let [map] = maps {
            return Ok(map.clone());
        }
        let channels = maps.iter().map(|map| map.channels).sum();
        let all = maps[0].like(channels)?;
        let mut at = 0;
        for map in maps {
            map.copy(0, map.channels, &all, at)?;
            at += map.channels;
        }
        Ok(all)
    }

    fn copy(&self, first: usize, count: usize, to: &Self, at: usize) -> Result<()> {
        let kernel = format!("copy_channels_{}", suffix(self.array.dtype()));
        let pixels = self.batch * self.pixels();
        let args = args![
            &self.array,
            &to.array,
            pixels,
            count,
            self.channels,
            first,
            to.channels,
            at
        ];
        launch(
            self.array.device(),
            "maps",
            &kernel,
            Launch::each(pixels * count),
            args,
        )
    }
}

/// An array `[batch, height, width, channels]` from one of planes, `[batch, channels, height, width]`.
pub(crate) fn from_planes(array: &Array, dims: [usize; 4]) -> Result<Map> {
    let [batch, channels, height, width] = dims;
    let last = reorder(array, [batch, channels, height * width], array.dtype())?;
    Ok(Map::new(last, [batch, height, width, channels]))
}

/// `[batch, rows, columns]` as `[batch, columns, rows]` in a type.
pub(crate) fn reorder(
    array: &Array,
    [batch, rows, columns]: [usize; 3],
    dtype: DType,
) -> Result<Array> {
    channels_last(array, [batch, rows, columns], rows, dtype)
}

/// `[batch, channels, pixels]` as `[batch, pixels, padded]` in a type, with zeros behind the channels.
fn channels_last(
    array: &Array,
    [batch, channels, pixels]: [usize; 3],
    padded: usize,
    dtype: DType,
) -> Result<Array> {
    let ys = Array::empty(array.device(), dtype, [batch, pixels, padded])?;
    let kernel = format!("channels_last_{}_{}", suffix(array.dtype()), suffix(dtype));
    let args = args![array, &ys, batch, channels, pixels, padded];
    launch(
        array.device(),
        "maps",
        &kernel,
        Launch::each(ys.count()),
        args,
    )?;
    Ok(ys)
}

/// `[batch · height · width, kernel · kernel · channels]`, what each pixel becomes, as the map
/// `[batch, height · kernel, width · kernel, channels]`, with a bias for each channel; or, with `back`, the
/// rows that make up such a map.
pub(crate) fn shuffle(
    array: &Array,
    bias: Option<&Array>,
    [batch, height, width]: [usize; 3],
    (kernel, channels): (usize, usize),
    back: bool,
) -> Result<Array> {
    let dims = match back {
        true => vec![batch * height * width, kernel * kernel * channels],
        false => vec![batch, height * kernel, width * kernel, channels],
    };
    let ys = Array::empty(array.device(), array.dtype(), dims)?;
    let args = args![
        array, bias, &ys, batch, height, width, kernel, channels, back
    ];
    let (vector, suffix) = vectors(array.dtype(), channels);
    let name = format!("shuffle_{suffix}");
    launch(
        array.device(),
        "maps",
        &name,
        Launch::each(ys.count() / vector),
        args,
    )?;
    Ok(ys)
}
