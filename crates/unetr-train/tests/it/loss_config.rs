use candle_core::{DType, Device, Tensor};
use unetr_train::{
    ClassMean, CrossEntropy, Dice, Error, Focal, Loss, LossConfig, LossKind, LossTerm, Lovasz,
    Region, SoftJaccard, SumLoss, Tversky,
};

fn parse(json: &str) -> Result<LossConfig, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn every_loss_is_read_with_its_defaults_and_written_back() {
    let kinds: [(&str, LossKind); 6] = [
        ("cross_entropy", CrossEntropy::default().into()),
        ("soft_jaccard", SoftJaccard::default().into()),
        ("dice", Dice::default().into()),
        ("focal", Focal::default().into()),
        ("tversky", Tversky::default().into()),
        ("lovasz", Lovasz::default().into()),
    ];
    for (kind, expected) in kinds {
        let read = parse(&format!(r#"[{{"kind": "{kind}"}}]"#)).unwrap();
        assert_eq!(read.terms, [LossTerm::new(1., expected)]);
        let json = serde_json::to_string(&read).unwrap();
        assert!(json.contains("\"weight\":1.0"), "{json}");
        assert_eq!(parse(&json).unwrap(), read);
        read.build().unwrap();
    }
}

#[test]
fn settings_are_keys_beside_the_kind() {
    let json = r#"[
        {"kind": "cross_entropy", "smoothing": 0.1, "class_weights": [1, 0.5, 4.25], "ignore_index": 255},
        {"weight": 0.5, "kind": "dice", "region": "batch", "classes": {"only": [1, 2]}},
        {"kind": "lovasz", "weight": 2, "region": "image", "classes": "all"},
        {"kind": "tversky", "weight": 0.25, "alpha": 0.3, "beta": 0.7}
    ]"#;
    let config = parse(json).unwrap();
    let dice = Dice {
        region: Region::Batch,
        classes: ClassMean::Only(vec![1, 2]),
        ..Dice::default()
    };
    assert_eq!(config.terms[1], LossTerm::new(0.5, dice));
    assert_eq!(
        config.to_string(),
        "cross entropy (class weights [1.0, 0.5, 4.25], smoothing 0.1, ignoring 255) \
         + 0.5 · Dice (classes [1, 2] in the batch) \
         + 2 · Lovász-softmax (all classes in each image) \
         + 0.25 · Tversky (alpha 0.3, beta 0.7, all classes in each image)"
    );
    let again = parse(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
}

#[test]
fn the_tutorials_is_the_sum_of_the_tutorial_bit_for_bit() {
    let logits: Vec<f32> = (0..2 * 3 * 35).map(|i| (i * i % 97) as f32 / 20.).collect();
    let logits = Tensor::from_vec(logits, (2, 3, 5, 7), &Device::Cpu).unwrap();
    let labels: Vec<u8> = (0..70).map(|i| i * 2 % 3).collect();
    let labels = Tensor::from_vec(labels, (2, 5, 7), &Device::Cpu).unwrap();
    let built = LossConfig::tutorial().build().unwrap();
    let [built, tutorial] = [built, SumLoss::tutorial()].map(|loss| {
        let value = loss.compute(&logits, &labels).unwrap();
        value.total.to_scalar::<f32>().unwrap()
    });
    assert_eq!(built, tutorial);
    assert_eq!(LossConfig::default(), LossConfig::tutorial());
    assert_eq!(
        LossConfig::tutorial().to_string(),
        "cross entropy + soft Jaccard"
    );
    assert_eq!(logits.dtype(), DType::F32);
}

#[test]
fn keys_and_kinds_that_nobody_knows_are_named() {
    for (json, expected) in [
        (
            r#"[{"kind": "cross_entropy", "smothing": 0.1}]"#,
            "cross_entropy: unknown field `smothing`, expected one of `class_weights`, `smoothing`, `ignore_index`",
        ),
        (
            r#"[{"kind": "hinge"}]"#,
            "unknown variant `hinge`, expected one of `cross_entropy`",
        ),
        (r#"[{"weight": 1.0}]"#, "missing field `kind`"),
        (
            r#"[{"kind": "dice", "weight": "much"}]"#,
            "weight: invalid type: string \"much\", expected f64",
        ),
        (
            r#"[{"kind": "lovasz", "classes": "some"}]"#,
            "lovasz: unknown variant `some`, expected one of `present`, `all`, `only`",
        ),
    ] {
        let error = parse(json).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (json, expected) in [
        ("[]", "the number of losses is 0, expected at least 1"),
        (
            r#"[{"kind": "dice", "weight": -1}]"#,
            "the weight of a loss is -1, expected a finite number of at least 0",
        ),
        (
            r#"[{"kind": "cross_entropy", "smoothing": 1.5}]"#,
            "cross_entropy: the smoothing is 1.5, expected a number from 0 to 1",
        ),
        (
            r#"[{"kind": "focal", "class_weights": [1, -1]}]"#,
            "focal: a class weight is -1, expected a finite number of at least 0",
        ),
        (
            r#"[{"kind": "tversky", "exponent": 0}]"#,
            "the exponent of tversky is 0, expected a finite number above 0",
        ),
        (
            r#"[{"kind": "dice", "smooth_denominator": 0}]"#,
            "smooth_denominator of dice is 0, expected a finite number above 0",
        ),
        (
            r#"[{"kind": "dice", "classes": {"only": []}}]"#,
            "dice: the number of classes of the mean is 0, expected at least 1",
        ),
    ] {
        let error: Error = parse(json).unwrap().build().unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
