use std::path::{Path, PathBuf};

use super::id::Id;

/// A repository's folder in the cache.
///
/// `refs/REVISION` holds the commit of a revision and `snapshots/COMMIT` the files of a commit.
#[derive(Debug)]
pub(super) struct RepositoryCache {
    folder: PathBuf,
    revision: String,
}

/// The files of one commit.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) commit: String,
    repository: PathBuf,
}

impl RepositoryCache {
    pub(super) fn new(cache: &Path, id: &Id) -> Self {
        let name = format!("models--{}", id.repository.replace('/', "--"));
        Self {
            folder: cache.join(name),
            revision: id.revision.clone(),
        }
    }

    /// The commit that the cache knows for the revision, which may be a commit itself.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        let commit = std::fs::read_to_string(self.folder.join("refs").join(&self.revision));
        let commit = commit.map_or(self.revision.clone(), |commit| commit.trim().to_owned());
        let snapshot = Snapshot {
            commit,
            repository: self.folder.clone(),
        };
        snapshot.path().is_dir().then_some(snapshot)
    }
}

impl Snapshot {
    fn path(&self) -> PathBuf {
        self.repository.join("snapshots").join(&self.commit)
    }

    pub(super) fn into_path(self) -> PathBuf {
        self.path()
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.path().join(file).is_file()
    }

    /// Whether it was noted that the repository has no such file.
    pub(super) fn is_known_to_lack(&self, file: &str) -> bool {
        self.note(file).is_file()
    }

    /// Notes that the repository has no such file, as `huggingface_hub` does.
    pub(super) fn note_lack(&self, file: &str) {
        let note = self.note(file);
        let folder = note.parent().map_or(Ok(()), std::fs::create_dir_all);
        // Without the note the hub is asked again: nothing is lost.
        let _ = folder.and_then(|()| std::fs::write(&note, []));
    }

    fn note(&self, file: &str) -> PathBuf {
        let folder = self.repository.join(".no_exist").join(&self.commit);
        folder.join(file)
    }
}
