use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use unetr_data::Classes;
use unetr_model::UnetrConfig;

/// What people should know of a network before they use it.
///
/// As a file it has the fields in front that the Hugging Face hub reads
/// (<https://huggingface.co/docs/hub/model-cards>).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelCard {
    /// What it is called.
    pub name: String,
    /// What it was trained on and evaluated with.
    pub data: String,
    /// How it was trained.
    pub training: String,
    /// What was measured, by name.
    pub metrics: BTreeMap<String, f64>,
    /// What it should not be used for, and where it fails.
    pub limits: String,
    /// The identifier of its licence, such as `mit`.
    pub license: Option<String>,
}

impl ModelCard {
    /// The card of a network with so many parameters, as Markdown.
    pub(crate) fn markdown(
        &self,
        cfg: &UnetrConfig,
        parameters: usize,
        classes: &Classes,
    ) -> String {
        let mut card = String::from("---\nlibrary_name: unetr\npipeline_tag: image-segmentation\n");
        card.push_str("tags:\n- unetr\n- image-segmentation\n");
        // A string of JSON is one of YAML.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        if let Some(license) = &self.license {
            line(&mut card, format_args!("license: {}", quoted(license)));
        }
        let [height, width] = cfg.image_size;
        line(&mut card, format_args!("---\n\n# {}\n", self.name));
        line(
            &mut card,
            format_args!(
                "A UNETR ([Hatamizadeh et al. 2021](https://arxiv.org/abs/2103.10504)) for photos of {height}x{width} \
                 pixels (height x width): {} encoder blocks of width {}, {parameters} parameters.\n",
                cfg.layers, cfg.hidden_size
            ),
        );
        card.push_str("## Classes\n\n| number | class | colour |\n| --- | --- | --- |\n");
        for (number, (name, [r, g, b])) in classes.names().iter().zip(classes.colours()).enumerate()
        {
            line(
                &mut card,
                format_args!(
                    "| {number} | {} | `#{r:02x}{g:02x}{b:02x}` |",
                    in_table(name)
                ),
            );
        }
        for (title, text) in [
            ("Data", &self.data),
            ("Training", &self.training),
            ("Limits", &self.limits),
        ] {
            if !text.is_empty() {
                line(&mut card, format_args!("\n## {title}\n\n{text}"));
            }
        }
        if !self.metrics.is_empty() {
            card.push_str("\n## Metrics\n\n| metric | value |\n| --- | --- |\n");
            for (name, value) in &self.metrics {
                line(
                    &mut card,
                    format_args!("| {} | {value:.4} |", in_table(name)),
                );
            }
        }
        card.push_str(USE);
        card
    }
}

const USE: &str = r#"
## Use

```rust
use unetr_data::{ExifOrientation, read_image};
use unetr_predict::Segmenter;

let segmenter = Segmenter::from_pretrained("path/of/this/folder")?;
let photo = read_image("photo.jpg", ExifOrientation::Apply)?;
let segmentation = segmenter.segment(&photo)?;
segmentation.labels.save("labels.png")?;
```
"#;

fn line(card: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(card, "{text}").expect("a string takes every text");
}

/// Without what would end a cell.
fn in_table(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
