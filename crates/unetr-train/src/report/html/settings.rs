//! The configurations of runs, and in what they differ.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use serde_json::Value;

use super::run::Run;

/// Settings by their whole name: `model.image_size`, `train_transforms.steps[0].kind`.
type Flat = BTreeMap<String, String>;

/// The section of all settings.
pub(super) fn section(runs: &[Run]) -> Markup {
    let configs = flat(runs);
    let keys: BTreeSet<&String> = configs.iter().flat_map(Flat::keys).collect();
    html! {
        section {
            h2 { "Configuration" }
            (missing(runs))
            @if !keys.is_empty() {
                details {
                    summary { "All " (keys.len()) " settings" }
                    (table(runs, &configs, &keys))
                }
            }
        }
    }
}

/// The section of the settings in which runs differ.
pub(super) fn differing(runs: &[Run]) -> Markup {
    let configs = flat(runs);
    let mut keys: BTreeSet<&String> = configs.iter().flat_map(Flat::keys).collect();
    keys.retain(|key| {
        // A run without a configuration differs in nothing that is known.
        let known = runs
            .iter()
            .zip(&configs)
            .filter(|(run, _)| run.config.is_some());
        let mut values = known.map(|(_, config)| config.get(*key));
        values
            .next()
            .is_some_and(|first| values.any(|value| value != first))
    });
    html! {
        section {
            h2 { "What differs" }
            (missing(runs))
            @if keys.is_empty() {
                p.note { "No setting differs." }
            } @else {
                (table(runs, &configs, &keys))
            }
        }
    }
}

fn flat(runs: &[Run]) -> Vec<Flat> {
    let of = |run: &Run| {
        let mut flat = Flat::new();
        if let Some(config) = &run.config {
            flatten(config, String::new(), &mut flat);
        }
        flat
    };
    runs.iter().map(of).collect()
}

fn missing(runs: &[Run]) -> Markup {
    html! {
        @for run in runs.iter().filter(|run| run.config.is_none()) {
            p.note { "No configuration: config.json of " (run.name) " is missing." }
        }
    }
}

fn table(runs: &[Run], configs: &[Flat], keys: &BTreeSet<&String>) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Settings" {
            table.settings {
                thead { tr {
                    th scope="col" { "Setting" }
                    @for run in runs { th scope="col" { @if runs.len() > 1 { (run.name) } @else { "Value" } } }
                } }
                tbody {
                    @for &key in keys {
                        tr {
                            th scope="row" { (key) }
                            @for config in configs { td { (config.get(key).map_or("–", String::as_str)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Gives every value that isn't made of others its whole name.
fn flatten(value: &Value, name: String, flat: &mut Flat) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (field, value) in fields {
                let name = if name.is_empty() {
                    field.clone()
                } else {
                    format!("{name}.{field}")
                };
                flatten(value, name, flat);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                flatten(item, format!("{name}[{index}]"), flat);
            }
        }
        _ => {
            flat.insert(name, text(value));
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_has_its_whole_name() {
        let config = json!({
            "model": {"image_size": [64, 96], "norm": null},
            "steps": [{"kind": "flip", "p": 0.5}, "resize"],
            "empty": {},
        });
        let mut flat = Flat::new();
        flatten(&config, String::new(), &mut flat);
        let pairs: Vec<(&str, &str)> = flat
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("empty", "{}"),
                ("model.image_size", "64, 96"),
                ("model.norm", "none"),
                ("steps[0].kind", "flip"),
                ("steps[0].p", "0.5"),
                ("steps[1]", "resize"),
            ]
        );
    }
}
