use std::path::Path;

use serde::de::DeserializeOwned;

use super::Recipe;
use crate::error::At;
use crate::{Error, Result};

impl Recipe {
    /// Reads a recipe from a file whose name ends in `.toml` or `.json`.
    ///
    /// # Errors
    /// When the file can't be read, has another ending, or is no recipe: then the key is named.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).at(path)?;
        let parsed = match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => from_toml(&text),
            Some("json") => from_json(&text),
            _ => Err((
                "the file's name".to_owned(),
                "expected .toml or .json".to_owned(),
            )),
        };
        parsed.map_err(|(key, message)| Error::Recipe {
            place: path.display().to_string(),
            key,
            message,
        })
    }

    /// Reads a recipe from TOML.
    ///
    /// # Errors
    /// When the text is no recipe: then the key is named.
    pub fn from_toml(text: &str) -> Result<Self> {
        from_toml(text).map_err(|(key, message)| Error::Recipe {
            place: "the recipe".to_owned(),
            key,
            message,
        })
    }
}

/// A key and what is wrong with it.
type Problem = (String, String);

fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let deserializer = toml::Deserializer::parse(text).map_err(|error| {
        (
            "the text".to_owned(),
            error.to_string().trim_end().to_owned(),
        )
    })?;
    named(serde_path_to_error::deserialize(deserializer))
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = named(serde_path_to_error::deserialize(&mut deserializer))?;
    let ended = deserializer.end();
    ended.map_err(|error| ("the text".to_owned(), error.to_string()))?;
    Ok(parsed)
}

fn named<T, E: std::fmt::Display>(
    parsed: Result<T, serde_path_to_error::Error<E>>,
) -> Result<T, Problem> {
    parsed.map_err(|error| {
        let message = error.inner().to_string().trim_end().to_owned();
        (error.path().to_string(), message)
    })
}
