use super::{NormConfig, UnetrConfig, VitConfig};
use crate::Error;

/// Beyond this no size makes sense, and below it no product of sizes overflows.
const LARGEST: usize = 1 << 15;

/// The pixels of an image of 4096×4096, whose 65,536 tokens no attention is computed of any more: what a file may make
/// others allocate is bounded.
const MOST_PIXELS: usize = 1 << 24;

impl VitConfig {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn validate(&self) -> Result<(), Error> {
        check_sizes(&[
            ("image_size", self.image_size[0]),
            ("image_size", self.image_size[1]),
            ("patch_size", self.patch_size),
            ("in_channels", self.in_channels),
            ("hidden_size", self.hidden_size),
            ("mlp_size", self.mlp_size),
            ("heads", self.heads),
            ("layers", self.layers),
        ])?;
        let [height, width] = self.image_size;
        if height * width > MOST_PIXELS {
            return Err(Error::Setting {
                what: "image_size",
                found: format!("{height}x{width}"),
                expected: "at most 16777216 pixels",
            });
        }
        let patch = self.patch_size;
        if let Some(found) = self
            .image_size
            .into_iter()
            .find(|size| !size.is_multiple_of(patch))
        {
            let wanted = found.next_multiple_of(patch);
            return Err(Error::ImageSize {
                found,
                patch,
                wanted,
            });
        }
        if !self.hidden_size.is_multiple_of(self.heads) {
            return Err(Error::Heads {
                hidden: self.hidden_size,
                heads: self.heads,
            });
        }
        check_rate("dropout", self.dropout)?;
        check_rate("projection_dropout", self.projection_dropout)?;
        check_rate("stochastic_depth", self.stochastic_depth)?;
        check_finite("layer_scale", self.layer_scale.unwrap_or(1.))?;
        check_epsilon("layer_norm_eps", self.layer_norm_eps)
    }
}

impl UnetrConfig {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn validate(&self) -> Result<(), Error> {
        if self.patch_size != 16 {
            return Err(Error::PatchSize {
                found: self.patch_size,
            });
        }
        self.vit().validate()?;
        check_sizes(&[
            ("classes", self.classes),
            ("feature_size", self.feature_size),
        ])?;
        if self.layers < 4 {
            let (found, expected) = (self.layers.to_string(), "4 or more: the decoder takes 4");
            return Err(Error::Setting {
                what: "layers",
                found,
                expected,
            });
        }
        if !(self.leaky_slope > 0. && self.leaky_slope.is_finite()) {
            // The backward pass reads from the sign of an output which branch it took.
            return Err(Error::Setting {
                what: "leaky_slope",
                found: self.leaky_slope.to_string(),
                expected: "a finite number above 0",
            });
        }
        self.validate_norm()
    }

    fn validate_norm(&self) -> Result<(), Error> {
        match self.norm {
            NormConfig::Instance { eps, .. } => check_epsilon("norm.eps", eps),
            NormConfig::Group { groups, .. } if !self.feature_size.is_multiple_of(groups) => {
                let (found, expected) = (groups.to_string(), "a divisor of the feature size");
                Err(Error::Setting {
                    what: "norm.groups",
                    found,
                    expected,
                })
            }
            NormConfig::Group { eps, .. } => check_epsilon("norm.eps", eps),
            NormConfig::Batch { momentum, .. } if !(0. ..=1.).contains(&momentum) => {
                let (found, expected) = (momentum.to_string(), "0 to 1");
                Err(Error::Setting {
                    what: "norm.momentum",
                    found,
                    expected,
                })
            }
            NormConfig::Batch { eps, .. } => check_epsilon("norm.eps", eps),
        }
    }
}

fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<(), Error> {
    match sizes.iter().find(|(_, size)| !(1..=LARGEST).contains(size)) {
        None => Ok(()),
        Some(&(field, found)) => {
            let (found, expected) = (found.to_string(), "1 to 32768");
            Err(Error::Setting {
                what: field,
                found,
                expected,
            })
        }
    }
}

fn check_rate(field: &'static str, rate: f64) -> Result<(), Error> {
    if (0. ..1.).contains(&rate) {
        return Ok(());
    }
    Err(Error::Setting {
        what: field,
        found: rate.to_string(),
        expected: "at least 0 and less than 1",
    })
}

fn check_finite(field: &'static str, value: f64) -> Result<(), Error> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Error::Setting {
        what: field,
        found: value.to_string(),
        expected: "a finite number",
    })
}

fn check_epsilon(field: &'static str, eps: f64) -> Result<(), Error> {
    if eps > 0. && eps.is_finite() {
        return Ok(());
    }
    Err(Error::Setting {
        what: field,
        found: eps.to_string(),
        expected: "more than 0",
    })
}
