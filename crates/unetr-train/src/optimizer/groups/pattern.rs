//! Patterns of parameter names.

use std::collections::BTreeSet;

/// How many names an error offers.
const OFFERED: usize = 3;

/// Whether a name is what a pattern says; `*` stands for any letters, dots too.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split('*');
    let end = parts.next_back().unwrap_or_default();
    // Each part as early as it occurs leaves the most for those that follow.
    for part in parts {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(end)
}

/// The names, and the patterns that match some of them, which a pattern is most like.
pub(super) fn near(pattern: &str, names: &[&str]) -> Vec<String> {
    let mut candidates = BTreeSet::new();
    for name in names {
        candidates.insert((*name).to_owned());
        for (dot, _) in name.match_indices('.') {
            candidates.insert(format!("{}.*", &name[..dot]));
            candidates.insert(format!("*{}", &name[dot..]));
        }
    }
    let likeness = |name: &String| strsim::normalized_damerau_levenshtein(pattern, name);
    let mut candidates: Vec<_> = candidates.into_iter().collect();
    candidates.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    candidates.truncate(OFFERED);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters() {
        let name = "vit.blocks.0.attn.qkv.weight";
        for pattern in [
            name,
            "*",
            "vit.*",
            "*.weight",
            "vit.blocks.*.qkv.*",
            "*blocks*attn*",
            "vit.*.*.weight",
            "vit.blocks.0.attn.qkv.weight*",
            "**",
        ] {
            assert!(matches(pattern, name), "{pattern}");
        }
        for pattern in [
            "",
            "vit",
            "vit.",
            "vit.blocks",
            "*.bias",
            "blocks.*",
            "vit.*.weigh",
            "vit.*.qkv.*.qkv.*",
            "vit.blocks.0.attn.qkv.weight*weight",
            "*weight*weight",
        ] {
            assert!(!matches(pattern, name), "{pattern}");
        }
    }

    #[test]
    fn a_slip_finds_what_was_meant() {
        let names = [
            "vit.blocks.0.attn.qkv.weight",
            "vit.blocks.0.attn.qkv.bias",
            "encoder1.layer.conv1.conv.weight",
            "encoder2.layer.conv1.conv.weight",
        ];
        for (pattern, meant) in [
            ("vti.*", "vit.*"),
            ("vit.block.*", "vit.blocks.*"),
            ("*.bais", "*.bias"),
            ("encoder1", "encoder1.*"),
        ] {
            assert_eq!(near(pattern, &names)[0], meant, "{pattern}");
        }
        assert!(near("vit.*", &[]).is_empty());
    }
}
