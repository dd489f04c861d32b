use std::path::{Path, PathBuf};

#[cfg(feature = "hub")]
use super::failure::Failure;
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

/// Whether this is a commit in full. No other name becomes a part of a path, whoever says that it is one.
pub(super) fn is_commit(name: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.len() == 40 && name.bytes().all(is_digit)
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
        let commit = if is_commit(&self.revision) {
            self.revision.clone()
        } else {
            let noted = std::fs::read_to_string(self.reference()).ok()?;
            noted.trim().to_owned()
        };
        let snapshot = is_commit(&commit).then(|| self.at(commit))?;
        snapshot.path().is_dir().then_some(snapshot)
    }

    /// The files of a commit.
    pub(super) fn at(&self, commit: String) -> Snapshot {
        Snapshot {
            commit,
            repository: self.folder.clone(),
        }
    }

    /// Notes the commit of the revision, as `huggingface_hub` does. It writes in place too: what a crash leaves of 40
    /// digits is no commit, and the hub is asked again.
    #[cfg(feature = "hub")]
    pub(super) fn note_commit(&self, commit: &str) -> Result<(), Failure> {
        let path = self.reference();
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = folder.and_then(|()| std::fs::write(&path, commit));
        written.map_err(Failure::disk(&path))
    }

    fn reference(&self) -> PathBuf {
        self.folder.join("refs").join(&self.revision)
    }
}

impl Snapshot {
    fn path(&self) -> PathBuf {
        self.repository.join("snapshots").join(&self.commit)
    }

    pub(super) fn into_path(self) -> PathBuf {
        self.path()
    }

    pub(super) fn file(&self, file: &str) -> PathBuf {
        self.path().join(file)
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.file(file).is_file()
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_commits_are_taken_from_refs() {
        let folder = tempfile::tempdir().unwrap();
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let cache = RepositoryCache::new(folder.path(), &Id::parse("a/b").unwrap());
        let repository = folder.path().join("models--a--b");
        std::fs::create_dir_all(repository.join("snapshots").join(commit)).unwrap();
        std::fs::create_dir_all(repository.join("refs")).unwrap();
        let noted = |text: &str| {
            std::fs::write(repository.join("refs/main"), text).unwrap();
            cache.snapshot().map(|snapshot| snapshot.commit)
        };
        assert_eq!(noted(commit).as_deref(), Some(commit));
        assert_eq!(noted(&format!("{commit}\n")).as_deref(), Some(commit));
        for text in ["", ".", "../..", "/", &commit[1..], &commit.to_uppercase()] {
            assert_eq!(noted(text), None, "{text}");
        }
    }
}
