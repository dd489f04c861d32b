//! A network in a folder, `config.json` and `model.safetensors`, or in a repository of the Hugging Face hub.

use std::path::Path;

use candle_core::{DType, Device};

use crate::error::At;
use crate::files::write_whole;
use crate::hub::Hub;
use crate::{Error, LoadReport, Parameters, Result, Unetr, UnetrConfig};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";

impl UnetrConfig {
    /// Reads a configuration from a JSON file and validates it.
    ///
    /// # Errors
    /// When the file cannot be read, is no configuration, or the configuration is not valid.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).at(path)?;
        let cfg: Self = serde_json::from_str(&text).at(path)?;
        cfg.validate().map_err(|error| error.in_file(path))?;
        Ok(cfg)
    }

    /// Writes the configuration to a JSON file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = serde_json::to_string_pretty(self).at(path)?;
        write_whole(path, text + "\n")
    }
}

impl Unetr {
    /// Writes `config.json` and `model.safetensors` into a folder, which is created if needed.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, parameters: &Parameters, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).at(folder)?;
        self.config().write(folder.join(CONFIG))?;
        parameters.save(folder.join(WEIGHTS))
    }

    /// Reads a network from `config.json` and `model.safetensors` in a folder, with f32
    /// parameters, which are returned for further training.
    ///
    /// # Errors
    /// When a file cannot be read or is not valid, or when the weights are not exactly those of the
    /// configuration.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<(Self, Parameters)> {
        let folder = folder.as_ref();
        let cfg = UnetrConfig::read(folder.join(CONFIG))?;
        let weights = folder.join(WEIGHTS);
        let parameters = Parameters::open(&weights, DType::F32, device)?;
        let model = Self::new(&cfg, parameters.var_builder())
            .map_err(|error| Error::from(error).in_file(&weights))?;
        let report = LoadReport {
            unexpected: parameters.unused(),
            ..LoadReport::default()
        };
        if report.is_exact() {
            Ok((model, parameters))
        } else {
            Err(Error::Mismatch {
                path: weights,
                report: report.into(),
            })
        }
    }

    /// [`Unetr::load`] of a folder, such as a checkpoint of a training, or of a repository of the Hugging Face hub,
    /// `owner/name` or `owner/name@revision`, which is downloaded into its cache with the feature `hub`.
    ///
    /// # Errors
    /// As [`Unetr::load`] and [`locate`](crate::hub::locate): without the feature or a network, the error says what to
    /// download by hand.
    ///
    /// # Examples
    /// ```no_run
    /// use candle_core::Device;
    /// use unetr_model::Unetr;
    ///
    /// let (model, _parameters) = Unetr::from_pretrained("owner/unetr-pets", &Device::Cpu)?;
    /// # Ok::<(), unetr_model::Error>(())
    /// ```
    pub fn from_pretrained(source: &str, device: &Device) -> Result<(Self, Parameters)> {
        Hub::from_env().load_unetr(source, device)
    }
}
