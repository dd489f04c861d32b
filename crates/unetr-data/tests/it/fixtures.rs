use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

/// A file in the repository's fixtures.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name)
}

/// The bytes of one array in `data.safetensors`.
pub fn array(name: &str) -> Vec<u8> {
    let file = std::fs::read(fixture("data.safetensors")).unwrap();
    SafeTensors::deserialize(&file)
        .unwrap()
        .tensor(name)
        .unwrap()
        .data()
        .to_vec()
}

/// One `i32` array in `data.safetensors`, as indices.
pub fn indices(name: &str) -> Vec<usize> {
    let index = |b: &[u8]| i32::from_le_bytes(b.try_into().unwrap()) as usize;
    array(name).chunks_exact(4).map(index).collect()
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
