use unetr_data::ClassMap;

#[test]
fn refuses_gaps_empty_maps_and_ambiguous_ignored_values() {
    let problem = |map: ClassMap| map.validate().unwrap_err().to_string();
    assert!(problem(ClassMap::new([])).contains("maps no value"));
    assert!(problem(ClassMap::new([(0, 0), (9, 2)])).contains("class 1 of 3"));
    assert!(problem(ClassMap::identity(3).ignore(2)).contains("ignored value 2"));
    assert!(problem(ClassMap::new([(1, 0), (2, 1)]).ignore(0)).contains("ignored value 0"));
    let both = ClassMap::identity(3).ignore_values([7, 2]);
    assert!(problem(both).contains("value 2 is mapped to a class and ignored"));
}

#[test]
fn is_plain_data() {
    let map = ClassMap::new([(0, 0), (128, 1), (129, 1)]).ignore(255);
    let json = serde_json::to_string(&map).unwrap();
    assert_eq!(json, r#"{"classes":{"0":0,"128":1,"129":1},"ignore":255}"#);
    assert_eq!(serde_json::from_str::<ClassMap>(&json).unwrap(), map);
    assert_eq!(map.num_classes(), 2);
    let map = ClassMap::new([(1, 0), (2, 1)]).ignore_values([0, 7]);
    let json = serde_json::to_string(&map).unwrap();
    assert_eq!(
        json,
        r#"{"classes":{"1":0,"2":1},"ignore":null,"ignored_values":[0,7]}"#
    );
    assert_eq!(serde_json::from_str::<ClassMap>(&json).unwrap(), map);
    assert!(serde_json::from_str::<ClassMap>(r#"{"classes":{},"ignored":1}"#).is_err());
}
