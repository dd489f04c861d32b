//! Any bytes are classes, a map of values to classes or an error, and are written and read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_data::{ClassMap, Classes};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(classes) = serde_json::from_slice::<Classes>(bytes) {
        assert!((1..=255).contains(&classes.len()));
        let text = serde_json::to_vec(&classes).expect("classes can be written");
        let again: Classes = serde_json::from_slice(&text).expect("they can be read again");
        assert_eq!(again, classes);
    }
    if let Ok(map) = serde_json::from_slice::<ClassMap>(bytes)
        && map.validate().is_ok()
    {
        assert!((1..=256).contains(&map.num_classes()));
        let text = serde_json::to_vec(&map).expect("a map can be written");
        let again: ClassMap = serde_json::from_slice(&text).expect("it can be read again");
        assert_eq!(again, map);
    }
});
