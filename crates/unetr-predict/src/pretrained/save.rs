use std::path::Path;

use serde::Serialize;
use unetr_data::{Classes, Compose, Normalize, Resize};
use unetr_model::{Parameters, Unetr, write_whole};

use super::{CARD, CLASSES, ModelCard, PREPROCESSING};
use crate::error::At;
use crate::{Error, Result};

/// Writes a network into a folder that [`Segmenter::from_pretrained`](crate::Segmenter::from_pretrained) reads, for
/// others to use: configuration, weights, what photos are normalised by, classes and a model card.
///
/// # Errors
/// When a file cannot be written or the classes are not as many as the network tells.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device};
/// use unetr_data::{Classes, Normalize};
/// use unetr_model::{Parameters, Unetr, UnetrConfig};
/// use unetr_predict::{ModelCard, Segmenter, save_pretrained};
///
/// # let folder = tempfile::tempdir()?;
/// let parameters = Parameters::new(7, DType::F32, &Device::Cpu);
/// let model = Unetr::new(&UnetrConfig::tiny(), parameters.var_builder())?;
/// let classes = Classes::viridis(["pet", "background", "boundary"])?;
/// let card = ModelCard {
///     name: "Pets".into(),
///     data: "None yet: these are initial weights.".into(),
///     ..ModelCard::default()
/// };
/// save_pretrained(folder.path(), &model, &parameters, &Normalize::default(), &classes, &card)?;
/// let segmenter = Segmenter::from_pretrained(folder.path())?;
/// assert_eq!(segmenter.classes(), &classes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn save_pretrained(
    folder: impl AsRef<Path>,
    model: &Unetr,
    parameters: &Parameters,
    normalize: &Normalize,
    classes: &Classes,
    card: &ModelCard,
) -> Result<()> {
    let (folder, cfg) = (folder.as_ref(), model.config());
    if classes.len() != cfg.classes {
        return Err(Error::Classes {
            found: classes.len(),
            expected: cfg.classes,
        });
    }
    model.save(parameters, folder)?;
    let preprocessing = Compose::default()
        .then(Resize::new(cfg.image_size))
        .then(normalize.clone());
    write(&folder.join(PREPROCESSING), &preprocessing)?;
    write(&folder.join(CLASSES), classes)?;
    let path = folder.join(CARD);
    Ok(write_whole(
        &path,
        card.markdown(cfg, parameters.count(), classes),
    )?)
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    Ok(write_whole(
        path,
        serde_json::to_vec_pretty(value).at(path)?,
    )?)
}
