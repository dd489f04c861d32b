//! Floats in JSON, which has no NaN and no infinity: those are written as the strings `"NaN"`,
//! `"inf"` and `"-inf"`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A float that survives JSON whatever its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a number, \"NaN\", \"inf\" or \"-inf\""
)]
enum Stored {
    Finite(f64),
    NonFinite(String),
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Stored::deserialize(deserializer)? {
            Stored::Finite(value) => Ok(Self(value)),
            Stored::NonFinite(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

/// For `#[serde(with = "number")]` on a float.
pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Number(*value).serialize(serializer)
}

/// For `#[serde(with = "number")]` on a float.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Number::deserialize(deserializer)?.0)
}

/// For `#[serde(with = "number::map")]` on floats by key.
pub(crate) mod map {
    use super::{BTreeMap, Deserialize, Deserializer, Number, Serialize, Serializer};

    pub(crate) fn serialize<K: Serialize, S: Serializer>(
        values: &BTreeMap<K, f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(key, &value)| (key, Number(value))))
    }

    pub(crate) fn deserialize<'de, K: Deserialize<'de> + Ord, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<K, f64>, D::Error> {
        let stored = BTreeMap::<K, Number>::deserialize(deserializer)?;
        Ok(stored
            .into_iter()
            .map(|(key, Number(value))| (key, value))
            .collect())
    }
}

/// For `#[serde(with = "number::option")]` on a float that may be missing.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Number, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Number).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        let stored = Option::<Number>::deserialize(deserializer)?;
        Ok(stored.map(|Number(value)| value))
    }
}
