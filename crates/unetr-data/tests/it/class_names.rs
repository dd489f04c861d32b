use unetr_data::{Classes, Error, OxfordPets, VocConfig};

#[test]
fn names_colours_and_numbers_belong_together() {
    let classes = Classes::new([("road", [128, 64, 128]), ("car", [0, 0, 142])]).unwrap();
    assert_eq!(classes.len(), 2);
    assert_eq!(classes.names(), ["road", "car"]);
    assert_eq!(classes.colours(), [[128, 64, 128], [0, 0, 142]]);
    assert_eq!(
        ["road", "car", "tree"].map(|name| classes.number(name)),
        [Some(0), Some(1), None]
    );
    assert_eq!(classes.ignored(), None);
    assert_eq!(classes.ignore([1, 2, 3]).ignored(), Some([1, 2, 3]));

    let pets = OxfordPets::classes();
    assert_eq!(pets.names(), OxfordPets::CLASS_NAMES);
    assert_eq!(pets.colours(), OxfordPets::PALETTE);
}

/// The colours of the palette in the official masks, by `Image.open(mask).getpalette()`.
#[test]
fn default_colours_are_pascal_vocs() {
    let voc = VocConfig::default().classes;
    let colours = [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
        [128, 0, 128],
        [0, 128, 128],
        [128, 128, 128],
        [64, 0, 0],
        [192, 0, 0],
        [64, 128, 0],
        [192, 128, 0],
        [64, 0, 128],
        [192, 0, 128],
        [64, 128, 128],
        [192, 128, 128],
        [0, 64, 0],
        [128, 64, 0],
        [0, 192, 0],
        [128, 192, 0],
        [0, 64, 128],
    ];
    assert_eq!(voc.colours(), colours);
    assert_eq!(voc.ignored(), Some([224, 224, 192]));
    assert_eq!(
        (voc.number("background"), voc.number("person")),
        (Some(0), Some(15))
    );

    let mut all: Vec<_> = (0..=u8::MAX).map(Classes::default_colour).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 256);
}

#[test]
fn classes_that_cannot_be_are_refused() {
    let problem = |names: &[&str]| {
        let error = Classes::named(names.iter().copied()).unwrap_err();
        assert!(matches!(error, Error::ClassNames(_)));
        error.to_string()
    };
    assert!(problem(&[]).contains("there are 0; expected 1 to 255"));
    assert!(problem(&["a", ""]).contains("class 1 has an empty name"));
    assert!(
        problem(&["a", "\u{1b}[2J"]).contains("the name of class 1 has 4 characters, or some that")
    );
    assert!(problem(&[&"a".repeat(257)]).contains("257 characters"));
    assert!(problem(&["a", "b", "a"]).contains("classes 0 and 2 are both called `a`"));
    let numbers: Vec<_> = (0..300).map(|i| i.to_string()).collect();
    assert_eq!(Classes::named(&numbers[..255]).unwrap().len(), 255);
    for count in [256, 300] {
        let error = Classes::named(&numbers[..count]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("classes: there are {count}; expected 1 to 255")
        );
    }
}

#[test]
fn classes_are_plain_data() {
    let json = r#"{"classes": [{"name": "sky"}, {"name": "tree", "colour": [0, 1, 2]}], "ignored": [9, 9, 9]}"#;
    let classes: Classes = serde_json::from_str(json).unwrap();
    let expected = Classes::new([("sky", [0, 0, 0]), ("tree", [0, 1, 2])])
        .unwrap()
        .ignore([9; 3]);
    assert_eq!(classes, expected);
    let json = serde_json::to_string(&classes).unwrap();
    assert_eq!(serde_json::from_str::<Classes>(&json).unwrap(), classes);
    for (json, message) in [
        (r#"{"classes": []}"#, "there are 0"),
        (
            r#"{"classes": [{"name": "a"}, {"name": "a"}]}"#,
            "both called `a`",
        ),
        (
            r#"{"classes": [{"name": "a", "color": [0, 0, 0]}]}"#,
            "unknown field `color`",
        ),
    ] {
        let error = serde_json::from_str::<Classes>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{error}");
    }
}
