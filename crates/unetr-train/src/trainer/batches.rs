use candle_core::Device;
use unetr_data::{Batch, DataLoader, EpochIter, Position};

use super::upload::to_device;
use crate::Result;

/// The batches of an epoch on a device, of which one may be fetched ahead.
pub(super) struct Batches<'a> {
    epoch: EpochIter,
    device: &'a Device,
    /// What comes next, if it was fetched, and where the epoch is behind it.
    ahead: Option<(Option<Result<Batch>>, Position)>,
    /// Behind the last batch that was handed out.
    position: Position,
}

impl<'a> Batches<'a> {
    /// Those from a position on.
    pub(super) fn new(loader: &DataLoader, position: Position, device: &'a Device) -> Self {
        let epoch = loader.resume(position);
        Self {
            position: EpochIter::position(&epoch),
            epoch,
            device,
            ahead: None,
        }
    }

    /// Waits for the next batch and begins to upload it.
    pub(super) fn fetch_ahead(&mut self) {
        if self.ahead.is_none() {
            let batch = self.epoch.next();
            let batch = batch.map(|batch| to_device(batch?, self.device));
            self.ahead = Some((batch, EpochIter::position(&self.epoch)));
        }
    }

    /// Where [`DataLoader::resume`] goes on; a batch that was only fetched comes then.
    pub(super) fn position(&self) -> Position {
        self.position
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        self.fetch_ahead();
        let (batch, position) = self.ahead.take()?;
        self.position = position;
        batch
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use image::{GrayImage, RgbImage};
    use unetr_data::{Compose, DataLoaderConfig, Dataset, Error, OnBroken, Sample};

    use super::*;

    /// Small photos, of which the fourth is broken.
    struct Photos;

    impl Dataset for Photos {
        fn len(&self) -> usize {
            8
        }

        fn get(&self, index: usize) -> unetr_data::Result<Sample> {
            if index == 3 {
                return Err(Error::InvalidLoader("a broken photo".into()));
            }
            Ok(Sample::new(
                "photo",
                RgbImage::new(2, 2),
                GrayImage::new(2, 2),
            ))
        }
    }

    fn loader(on_broken: OnBroken) -> DataLoader {
        let config = DataLoaderConfig {
            on_broken,
            workers: 1,
            ..DataLoaderConfig::evaluation(2)
        };
        DataLoader::new(Photos, Compose::default(), config).unwrap()
    }

    /// The indices of each batch, and the position behind it.
    fn read<'a>(
        mut batches: Batches<'a>,
        fetch: impl Fn(&mut Batches<'a>),
    ) -> Vec<(Vec<usize>, usize)> {
        let mut read = Vec::new();
        while let Some(batch) = batches.next() {
            fetch(&mut batches);
            read.push((batch.unwrap().indices, Batches::position(&batches).samples));
        }
        read
    }

    #[test]
    fn a_batch_that_was_only_fetched_was_not_seen() {
        let loader = loader(OnBroken::Skip);
        let start = |samples| Position { epoch: 0, samples };
        let batches = |samples| Batches::new(&loader, start(samples), &Device::Cpu);
        let expected = [
            (vec![0, 1], 2),
            (vec![2, 4], 5),
            (vec![5, 6], 7),
            (vec![7], 8),
        ];
        assert_eq!(read(batches(0), |_| ()), expected);
        assert_eq!(read(batches(0), Batches::fetch_ahead), expected);
        for (n, (_, position)) in expected.iter().enumerate() {
            let rest = read(batches(*position), Batches::fetch_ahead);
            assert_eq!(rest, expected[n + 1..]);
        }
        let mut fetched = batches(2);
        fetched.fetch_ahead();
        assert_eq!(Batches::position(&fetched), start(2));
    }

    #[test]
    fn an_error_comes_in_its_turn() {
        let loader = loader(OnBroken::Fail);
        let mut batches = Batches::new(&loader, Position::default(), &Device::Cpu);
        assert_eq!(batches.next().unwrap().unwrap().indices, [0, 1]);
        batches.fetch_ahead();
        assert_eq!(Batches::position(&batches).samples, 2);
        let error = batches.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("photo"), "{error}");
        assert!(batches.next().is_none());
    }
}
