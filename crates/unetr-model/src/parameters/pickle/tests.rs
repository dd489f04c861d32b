#![allow(clippy::unwrap_used)]

use std::io::{Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A key and a value of a dict.
fn item(key: &str, value: &[u8]) -> Vec<u8> {
    join(&[&text(key), value])
}

fn dict(items: &[Vec<u8>]) -> Vec<u8> {
    join(&[b"}(", &items.concat(), b"u"])
}

fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    join(&[b"X", &length.to_le_bytes(), text.as_bytes()])
}

fn whole(number: i64) -> Vec<u8> {
    join(&[b"\x8a\x08", &number.to_le_bytes()])
}

fn tuple(numbers: &[i64]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| whole(*number)).collect();
    join(&[b"(", &numbers, b"t"])
}

fn storage(class: &str, key: &str) -> Vec<u8> {
    let class = format!("ctorch\n{class}\n");
    let (kind, key, device) = (text("storage"), text(key), text("cpu"));
    join(&[b"(", &kind, class.as_bytes(), &key, &device, b"K\x09tQ"])
}

const REBUILD: &[u8] = b"ctorch._utils\n_rebuild_tensor_v2\n";
const HOOKS: &[u8] = b"\x89ccollections\nOrderedDict\n)R";

fn tensor(storage: &[u8], offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let place = [whole(offset), tuple(shape), tuple(strides)].concat();
    join(&[REBUILD, b"(", storage, &place, HOOKS, b"tR"])
}

fn floats(offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    tensor(&storage("FloatStorage", "0"), offset, shape, strides)
}

fn pickle(value: &[u8]) -> Vec<u8> {
    join(&[b"\x80\x02", value, b"."])
}

/// A file of `torch.save` with these entries besides the pickle.
fn file(value: &[u8], entries: &[(&str, &[u8])]) -> File {
    let mut zip = ZipWriter::new(tempfile::tempfile().unwrap());
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let pickle = pickle(value);
    for (name, bytes) in [("data.pkl", pickle.as_slice())].iter().chain(entries) {
        zip.start_file(format!("archive/{name}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    let mut file = zip.finish().unwrap();
    file.rewind().unwrap();
    file
}

fn read(file: File, key: Option<&str>) -> Result<HashMap<String, Tensor>> {
    let mut checkpoint = Checkpoint::open(file)?;
    let tensors = checkpoint.tensors(key)?.into_iter();
    let real = tensors.filter_map(|(name, view)| Some((name, view?)));
    checkpoint.read(real.collect())
}

/// Why a file with one tensor, `w`, and a storage of six floats is refused.
fn refused(tensor: &[u8]) -> String {
    let file = file(&dict(&[item("w", tensor)]), &[("data/0", &[0; 24])]);
    read(file, None).unwrap_err()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn tensors_are_views_of_storages() {
    let one = floats(1, &[2], &[2]);
    let function = b"ctorch._utils\n_rebuild_parameter\n(";
    let parameter = join(&[function, &one, b"\x88", HOOKS, b"tR"]);
    let function = b"ctorch._tensor\n_rebuild_from_type_v2\n(";
    let arguments = [whole(5), tuple(&[]), tuple(&[])].concat();
    let arguments = join(&[b"(", &storage("FloatStorage", "0"), &arguments, b"t"]);
    let subclass = join(&[function, REBUILD, b"cmodule\nClass\n", &arguments, b"}tR"]);
    let items = [
        item("plain", &floats(0, &[2, 3], &[3, 1])),
        item("turned", &floats(0, &[3, 1, 2], &[1, 99, 3])),
        item("empty", &floats(7, &[0, 3], &[3, 1])),
        item("parameter", &parameter),
        item("scalar", &subclass),
        item(
            "f64",
            &tensor(&storage("DoubleStorage", "1"), 0, &[1], &[1]),
        ),
        item(
            "counts",
            &tensor(&storage("LongStorage", "1"), 0, &[1], &[1]),
        ),
        item("sparse", b"ctorch._utils\n_rebuild_sparse_tensor\n)R"),
        item("epoch", b"K\x03"),
    ];
    let rate = item("lr", b"G\0\0\0\0\0\0\0\0");
    let value = dict(&[item("state_dict", &dict(&items)), rate]);
    let bytes: Vec<u8> = (0..6_u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    let entries: [(&str, &[u8]); 3] = [
        ("byteorder", b"little"),
        ("data/0", &bytes),
        ("data/1", &[0; 8]),
    ];
    for nothing in [None, Some("model"), Some("lr")] {
        assert!(read(file(&value, &entries), nothing).unwrap().is_empty());
    }
    let tensors = read(file(&value, &entries), Some("state_dict")).unwrap();
    assert_eq!(tensors.len(), 6);
    assert_eq!(values(&tensors["plain"]), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(tensors["turned"].dims(), [3, 1, 2]);
    assert_eq!(values(&tensors["turned"]), [0., 3., 1., 4., 2., 5.]);
    assert_eq!(tensors["empty"].dims(), [0, 3]);
    assert_eq!(values(&tensors["parameter"]), [1., 3.]);
    assert_eq!(tensors["scalar"].to_scalar::<f32>().unwrap(), 5.);
    assert_eq!(tensors["f64"].to_vec1::<f64>().unwrap(), [0.]);
    let checkpoint = Checkpoint::open(file(&value, &entries)).unwrap();
    let mut others = checkpoint.tensors(Some("state_dict")).unwrap();
    others.retain(|(_, view)| view.is_none());
    let others: Vec<&str> = others.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(others, ["counts", "sparse"]);
}

#[test]
fn a_dict_that_is_filled_later_is_the_same_dict() {
    let outer = join(&[b"}q\x05", &text("below"), b"}\x94s"]);
    let inner = join(&[b"h\x01", &item("w", &floats(0, &[1], &[1])), b"s"]);
    let tree = machine::run(&pickle(&join(&[&outer, &inner, b"\x85h\x05"]))).unwrap();
    assert_eq!(tree.tensors(Some("below")).unwrap().len(), 1);
}

#[test]
fn what_the_memo_holds_is_not_copied() {
    let bomb = join(&[b"Nq\0", &b"h\0h\0\x86q\0".repeat(30)]);
    let tree = machine::run(&pickle(&bomb)).unwrap();
    assert_eq!(tree.nodes.len(), 31);
    assert!(tree.tensors(None).unwrap().is_empty());
}

#[test]
fn nested_values_take_no_stack_and_there_are_only_so_many() {
    let nested = |depth| pickle(&join(&[b"N", &b"\x85".repeat(depth)]));
    let tree = machine::run(&nested(1_000_000)).unwrap();
    assert!(tree.tensors(Some("model")).unwrap().is_empty());
    drop(tree);
    let places: Vec<u8> = (0..2_000_000_u32)
        .flat_map(|place| join(&[b"r", &place.to_le_bytes()]))
        .collect();
    for (pickle, what) in [
        (nested(2_000_000), "values"),
        (b"N".repeat(2_000_000), "values on the stack"),
        (b"(".repeat(2_000_000), "marks"),
        (join(&[b"N", &places]), "places of the memo"),
    ] {
        let error = machine::run(&pickle).err().unwrap();
        assert_eq!(error, format!("more than 1048576 {what} in the pickle"));
    }
}

#[test]
fn arguments_of_another_number_or_kind_are_refused() {
    let rebuild = |arguments: &[u8]| refused(&join(&[REBUILD, arguments, b"R"]));
    let found = "the tensor w is made of 0 arguments, expected 4 at least";
    assert_eq!(rebuild(b")"), found);
    assert_eq!(rebuild(b"N"), found);
    assert_eq!(rebuild(b"(K\0K\0))t"), "the tensor w has no storage");
    let error = refused(&floats(-1, &[1], &[1]));
    assert!(error.ends_with("not whole numbers from 0"), "{error}");
    let error = refused(&floats(0, &[1], &[]));
    assert_eq!(error, "the tensor w has the shape [1] and the strides []");
    let error = refused(&floats(0, &[1; 40], &[1; 40]));
    assert_eq!(error, "the tensor w has more dimensions than 16");
}

#[test]
fn what_the_file_cannot_hold_is_refused_before_memory_is_taken() {
    for shape in [vec![1 << 40], vec![i64::MAX; 3], vec![1 << 32, 1 << 30]] {
        let error = refused(&floats(0, &shape, &vec![0; shape.len()]));
        assert!(error.contains("bytes of the file, among them w"), "{error}");
    }
    let error = refused(&floats(0, &[7], &[1]));
    assert_eq!(error, "storage 0 holds 24 bytes, the tensor w needs 28");
    let error = refused(&floats(0, &[2, 2], &[i64::MAX, 1]));
    assert!(error.ends_with("needs more than can be counted"), "{error}");
    let error = refused(&floats(0, &[10], &[0]));
    let found = "the tensor w repeats the 24 bytes of storage 0 to 40";
    assert!(error.starts_with(found), "{error}");
    let error = refused(&tensor(&storage("FloatStorage", "1"), 0, &[1], &[1]));
    assert_eq!(error, "data/1 is missing in the zip file");
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let open = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        Checkpoint::open(file).err().unwrap()
    };
    assert_eq!(open(b""), "no zip file");
    assert!(open(b"\x80\x02\x8a").contains("before version 1.6"));
    assert!(open(b"PK\x03\x04").starts_with("no zip file that can be read: "));
    let refused = |entry| Checkpoint::open(file(b"}", &[entry])).err().unwrap();
    assert_eq!(
        refused(("byteorder", b"big")),
        "its byte order is \"big\", expected \"little\""
    );
    assert_eq!(
        refused(("more/data.pkl", b".")),
        "2 entries data.pkl in the zip file, expected one"
    );
}

#[test]
fn every_cut_and_every_changed_byte_gives_a_value_or_an_error() {
    let others =
        b"\x8c\x01a\x8c\x01b\x93\x94(K\x01]tRM\x01\0J\0\0\0\0C\x01a\x86\x87\x8f(N\x90\x86\x85";
    let items = [item("w", &floats(0, &[2, 3], &[3, 1])), item("b", others)];
    let whole = pickle(&dict(&items));
    let sees = |bytes: &[u8]| machine::run(bytes).and_then(|tree| tree.tensors(None));
    assert_eq!(sees(&whole).unwrap().len(), 1);
    for place in 0..whole.len() {
        let (before, after) = whole.split_at(place);
        assert!(sees(before).is_err());
        for byte in 0..=255 {
            let _ = sees(&join(&[before, &[byte], &after[1..]]));
        }
    }
}
