//! Any text, as TOML or JSON, is a recipe or an error, and a valid one can be followed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_train::Recipe;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let path = folder.path().join("x.json");
    std::fs::write(&path, bytes).expect("the disk can be written");
    let toml = std::str::from_utf8(bytes).map(Recipe::from_toml);
    for recipe in toml.into_iter().chain([Recipe::read(&path)]).flatten() {
        if recipe.validate().is_ok() {
            recipe.loss.build().expect("its losses are valid");
            // An error where the warm-up is as long as the run.
            let _ = recipe.schedule.schedule(1000).map(|schedule| schedule.lr(500));
        }
    }
});
