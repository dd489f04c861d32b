use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{Conv2dConfig, Keep, Mode, tokens_to_map};

use crate::blocks::{PrUpBlock, UnetBlock, UpBlock, Vit, VitOutput};
use crate::layers::{Bias, Conv2d, Linear};
use crate::{Error, SegmentationModel, TrainingOutput, UnetrConfig};

/// The UNETR segmentation network: the hidden states of a Vision Transformer are brought to the
/// resolutions of a U-Net, whose decoder merges them into logits at the image's resolution.
///
/// Parameters have MONAI's names, so that its checkpoints load as they are.
///
/// Source: Hatamizadeh et al. 2021, figure 2, <https://arxiv.org/abs/2103.10504>
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_model::{Mode, Parameters, Unetr, UnetrConfig};
///
/// let cfg = UnetrConfig { classes: 2, ..UnetrConfig::tiny().with_image_size([32, 48]) };
/// let parameters = Parameters::new(7, DType::F32, &Device::Cpu);
/// let model = Unetr::new(&cfg, parameters.var_builder())?;
/// let images = Tensor::zeros((1, 3, 32, 48), DType::F32, &Device::Cpu)?;
/// assert_eq!(model.forward(&images, Mode::Eval)?.dims(), [1, 2, 32, 48]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Unetr {
    cfg: UnetrConfig,
    vit: Vit,
    encoder1: UnetBlock,
    encoder2: PrUpBlock,
    encoder3: PrUpBlock,
    encoder4: PrUpBlock,
    decoder5: UpBlock,
    decoder4: UpBlock,
    decoder3: UpBlock,
    decoder2: UpBlock,
    out: Conv2d,
    /// One for each thing that the decoder takes of the transformer, or none.
    auxiliary_heads: Vec<Linear>,
}

impl Unetr {
    /// A network for images of exactly the configured size.
    ///
    /// # Errors
    /// When the configuration is not valid or the variable builder has no such parameters.
    pub fn new(cfg: &UnetrConfig, vb: VarBuilder<'_>) -> Result<Self> {
        cfg.validate()?;
        let (hidden, feature, decoder) = (cfg.hidden_size, cfg.feature_size, cfg.decoder());
        let encoder = |i: usize, channels, stages| {
            PrUpBlock::new(
                hidden,
                channels,
                stages,
                &decoder,
                vb.pp(format!("encoder{i}")),
            )
        };
        let up = |i: usize, inputs, channels| {
            UpBlock::new(inputs, channels, &decoder, vb.pp(format!("decoder{i}")))
        };
        let point = Conv2dConfig::default();
        let heads = if cfg.auxiliary_heads { 4 } else { 0 };
        let head = |i| {
            let vb = vb.pp(format!("auxiliary_heads.{i}"));
            Linear::new(hidden, cfg.classes, Bias::Learned, vb)
        };
        Ok(Self {
            cfg: cfg.clone(),
            vit: Vit::new(&cfg.vit(), vb.pp("vit"))?,
            encoder1: UnetBlock::new(cfg.in_channels, feature, &decoder, vb.pp("encoder1.layer"))?,
            encoder2: encoder(2, 2 * feature, 2)?,
            encoder3: encoder(3, 4 * feature, 1)?,
            encoder4: encoder(4, 8 * feature, 0)?,
            decoder5: up(5, hidden, 8 * feature)?,
            decoder4: up(4, 8 * feature, 4 * feature)?,
            decoder3: up(3, 4 * feature, 2 * feature)?,
            decoder2: up(2, 2 * feature, feature)?,
            out: Conv2d::new(
                feature,
                cfg.classes,
                1,
                point,
                Bias::Learned,
                vb.pp("out.conv.conv"),
            )?,
            auxiliary_heads: (0..heads).map(head).collect::<Result<_>>()?,
        })
    }

    /// What the network was built from.
    pub fn config(&self) -> &UnetrConfig {
        &self.cfg
    }

    /// Sets what the transformer keeps for the backward pass: with [`Keep::Input`] it computes its
    /// blocks once more there, which takes less memory and more time.
    pub fn set_keep(&mut self, keep: Keep) {
        self.vit.set_keep(keep);
    }

    /// The scores of every class at every pixel.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, height, width]`
    /// - returns: `[batch, classes, height, width]`, logits
    ///
    /// # Errors
    /// When the images are not of the configured size.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let tokens = self.encode(images, mode)?;
        self.decode(images, &tokens, mode)
    }

    /// The tokens that the decoder takes, shallow ones first.
    fn encode(&self, images: &Tensor, mode: Mode) -> Result<[Tensor; 4]> {
        self.check(images)?;
        let VitOutput {
            normed,
            hidden_states,
        } = self.vit.forward(images, mode)?;
        let [tap2, tap3, tap4] = self.cfg.taps().map(|tap| hidden_states[tap].clone());
        Ok([tap2, tap3, tap4, normed])
    }

    fn decode(&self, images: &Tensor, tokens: &[Tensor; 4], mode: Mode) -> Result<Tensor> {
        let [tap2, tap3, tap4, normed] = tokens;
        let enc1 = self.encoder1.forward(images, mode)?;
        let enc2 = self.encoder2.forward(&self.feature_map(tap2)?, mode)?;
        let enc3 = self.encoder3.forward(&self.feature_map(tap3)?, mode)?;
        let enc4 = self.encoder4.forward(&self.feature_map(tap4)?, mode)?;

        let dec4 = self.feature_map(normed)?;
        let dec3 = self.decoder5.forward(&dec4, &enc4, mode)?;
        let dec2 = self.decoder4.forward(&dec3, &enc3, mode)?;
        let dec1 = self.decoder3.forward(&dec2, &enc2, mode)?;
        let dec0 = self.decoder2.forward(&dec1, &enc1, mode)?;
        self.out.forward(&dec0)
    }

    /// Tokens `[batch, rows·columns, hidden]` as a map `[batch, hidden, rows, columns]`.
    fn feature_map(&self, tokens: &Tensor) -> Result<Tensor> {
        tokens_to_map(tokens, self.cfg.vit().grid())
    }

    fn check(&self, images: &Tensor) -> std::result::Result<(), Error> {
        let (channels, [height, width]) = (self.cfg.in_channels, self.cfg.image_size);
        match images.dims() {
            &[batch, c, h, w] if batch > 0 && (c, h, w) == (channels, height, width) => Ok(()),
            found => Err(Error::Images {
                found: found.to_vec(),
                channels,
                height,
                width,
            }),
        }
    }
}

impl SegmentationModel for Unetr {
    fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        Unetr::forward(self, images, mode)
    }

    /// With [`UnetrConfig::auxiliary_heads`], also what each of the four things that the decoder takes of
    /// the transformer tells about the classes of a patch: without a head of its own, a transformer from
    /// scratch learns through a deep decoder alone, and slowly (deep supervision, Lee et al. 2014,
    /// <https://arxiv.org/abs/1409.5185>).
    fn forward_training(&self, images: &Tensor, mode: Mode) -> Result<TrainingOutput> {
        let tokens = self.encode(images, mode)?;
        let heads = self.auxiliary_heads.iter().zip(&tokens);
        Ok(TrainingOutput {
            logits: self.decode(images, &tokens, mode)?,
            auxiliary: heads
                .map(|(head, tokens)| self.feature_map(&head.forward(tokens)?))
                .collect::<Result<_>>()?,
        })
    }
}

/// Evaluation: [`Unetr::forward`] with [`Mode::Eval`].
impl Module for Unetr {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        Unetr::forward(self, images, Mode::Eval)
    }
}
