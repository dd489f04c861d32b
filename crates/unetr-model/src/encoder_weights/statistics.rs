use std::fmt;
use std::path::Path;

use serde_json::Value;

/// What the pixels of a network's photos are normalised by, `(v - mean) / std` for each channel, on a scale of
/// 0 to 1.
///
/// # Examples
/// ```
/// use unetr_model::PixelStatistics;
///
/// assert_eq!(PixelStatistics::HALF.to_string(), "mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5]");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelStatistics {
    /// The mean of red, green and blue.
    pub mean: [f32; 3],
    /// Their standard deviation.
    pub std: [f32; 3],
}

impl PixelStatistics {
    /// Those of ImageNet: DeiT, DINO, MAE and most others.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    /// From -1 to 1: the Vision Transformers of Google.
    pub const HALF: Self = Self {
        mean: [0.5; 3],
        std: [0.5; 3],
    };
    /// Those of CLIP.
    pub const CLIP: Self = Self {
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
    };

    /// From the names of models in timm and `transformers`.
    fn of_name(name: &str) -> Option<Self> {
        const NAMES: [(PixelStatistics, &[&str]); 3] = [
            (PixelStatistics::CLIP, &["clip"]),
            (
                PixelStatistics::IMAGENET,
                &["deit", "deit3", "dino", "dinov2", "mae"],
            ),
            (
                PixelStatistics::HALF,
                &["augreg", "augreg2", "siglip", "google"],
            ),
        ];
        let name = name.to_lowercase();
        let mut words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
        words.find_map(|word| {
            let of_word = |(_, names): &&(Self, &[&str])| names.contains(&word);
            NAMES
                .iter()
                .find(of_word)
                .map(|&(statistics, _)| statistics)
        })
    }

    /// From `preprocessor_config.json` of `transformers` or `config.json` of timm.
    fn of_json(json: &Value) -> Option<Self> {
        let at = |json: &Value, mean: &str, std: &str| {
            let std = three(json.get(std)?)?;
            let mean = three(json.get(mean)?)?;
            std.iter()
                .all(|&std| std > 0.)
                .then_some(Self { mean, std })
        };
        at(json, "image_mean", "image_std")
            .or_else(|| at(json.get("pretrained_cfg")?, "mean", "std"))
            .or_else(|| at(json, "mean", "std"))
    }
}

impl fmt::Display for PixelStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mean {:?}, std {:?}", self.mean, self.std)
    }
}

/// The statistics of the photos that a file of weights was trained on, if they are known. `config` is `config.json`
/// beside it.
pub(super) fn of_file(weights: &Path, config: &Value) -> Option<PixelStatistics> {
    let preprocessor = || {
        let text = std::fs::read(weights.with_file_name("preprocessor_config.json")).ok()?;
        PixelStatistics::of_json(&serde_json::from_slice(&text).ok()?)
    };
    let named = |path: &Path| PixelStatistics::of_name(path.file_name()?.to_str()?);
    preprocessor()
        .or_else(|| PixelStatistics::of_json(config))
        .or_else(|| named(weights))
        .or_else(|| named(weights.parent()?))
        .or_else(|| named(repository(weights)?))
}

/// The folder `models--OWNER--NAME` above `snapshots/COMMIT/FILE` in the cache of the hub.
fn repository(weights: &Path) -> Option<&Path> {
    let folder = weights.ancestors().nth(3)?;
    let name = folder.file_name()?.to_str()?;
    name.starts_with("models--").then_some(folder)
}

/// Three finite numbers.
fn three(json: &Value) -> Option<[f32; 3]> {
    let numbers = json
        .as_array()?
        .iter()
        .map(|number| Some(number.as_f64()? as f32));
    let numbers: [f32; 3] = numbers.collect::<Option<Vec<_>>>()?.try_into().ok()?;
    numbers
        .iter()
        .all(|number| number.is_finite())
        .then_some(numbers)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_models_tell_the_statistics() {
        for (name, statistics) in [
            (
                "vit_tiny_patch16_224_augreg_in1k.f16.safetensors",
                Some(PixelStatistics::HALF),
            ),
            (
                "vit_base_patch16_224.augreg2_in21k_ft_in1k",
                Some(PixelStatistics::HALF),
            ),
            (
                "models--google--vit-base-patch16-224",
                Some(PixelStatistics::HALF),
            ),
            (
                "deit_tiny_patch16_224.fb_in1k.pth",
                Some(PixelStatistics::IMAGENET),
            ),
            (
                "vit_small_patch16_224.dino",
                Some(PixelStatistics::IMAGENET),
            ),
            ("vit-mae-base", Some(PixelStatistics::IMAGENET)),
            (
                "vit_base_patch16_clip_224.openai",
                Some(PixelStatistics::CLIP),
            ),
            ("model.safetensors", None),
            ("maestro.safetensors", None),
        ] {
            assert_eq!(PixelStatistics::of_name(name), statistics, "{name}");
        }
    }

    #[test]
    fn files_beside_the_weights_come_first() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("deit_small");
        std::fs::create_dir(&folder).unwrap();
        let weights = folder.join("model.safetensors");
        assert_eq!(
            of_file(&weights, &Value::Null),
            Some(PixelStatistics::IMAGENET)
        );
        let half = json!({"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]});
        let timm = json!({"architecture": "vit", "pretrained_cfg": half});
        assert_eq!(of_file(&weights, &timm), Some(PixelStatistics::HALF));
        let transformers =
            r#"{"do_normalize": true, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3]}"#;
        std::fs::write(folder.join("preprocessor_config.json"), transformers).unwrap();
        let found = of_file(&weights, &timm).unwrap();
        assert_eq!((found.mean, found.std), ([0.1, 0.2, 0.3], [1., 2., 3.]));
        // What is of no use is passed over.
        std::fs::write(
            folder.join("preprocessor_config.json"),
            r#"{"image_mean": [0.5]}"#,
        )
        .unwrap();
        assert_eq!(of_file(&weights, &timm), Some(PixelStatistics::HALF));
    }
}
