use std::fmt;

/// A repository of the hub at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Id {
    /// `owner/name`
    pub(super) repository: String,
    /// A branch, a tag or a commit.
    pub(super) revision: String,
}

const MAIN: &str = "main";

impl Id {
    /// `owner/name` or `owner/name@revision`.
    pub(super) fn parse(source: &str) -> Option<Self> {
        let (repository, revision) = source.split_once('@').unwrap_or((source, MAIN));
        let (owner, name) = repository.split_once('/')?;
        // Names become parts of paths.
        let is_repository = [owner, name].into_iter().all(is_repository_name);
        let is_id = is_repository && revision.split('/').all(is_name);
        is_id.then(|| Self {
            repository: repository.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// The repository at another revision.
    #[cfg(feature = "hub")]
    pub(super) fn at(&self, revision: &str) -> Self {
        Self {
            repository: self.repository.clone(),
            revision: revision.to_owned(),
        }
    }

    /// Where a file of it is downloaded.
    pub(super) fn url(&self, endpoint: &str, file: &str) -> String {
        let revision = self.revision.replace('/', "%2F");
        format!("{endpoint}/{}/resolve/{revision}/{file}", self.repository)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        match self.revision.as_str() {
            MAIN => Ok(()),
            revision => write!(f, "@{revision}"),
        }
    }
}

fn is_name(part: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let is_odd = part.is_empty() || part.starts_with('.') || part.contains("..");
    !is_odd && part.chars().all(is_plain)
}

/// In the cache `--` stands between owner and name: with more of them two repositories would share a folder. The hub
/// has no such names either.
fn is_repository_name(part: &str) -> bool {
    let ends = ['-', '.'];
    let is_odd = part.contains("--") || part.starts_with(ends) || part.ends_with(ends);
    !is_odd && is_name(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_what_is_none() {
        let id = |source| Id::parse(source).map(|id| (id.repository, id.revision));
        let parts = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        let timm = "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k";
        assert_eq!(id(timm), parts(timm, "main"));
        assert_eq!(id("a/b@refs/pr/1"), parts("a/b", "refs/pr/1"));
        assert_eq!(id("a-b/c.d_e@x--y"), parts("a-b/c.d_e", "x--y"));
        for source in [
            "", "name", "/", "a/", "/b", "a/b/c", "../b", "a/..", "./a", "a/b@", "a/b@../c",
            "C:\\a", "a b/c", "a/b@/c", "a/b@c@d", "a--b/c", "a/b--c", "a-/b", "a/-b", "a..b/c",
            "a/b..", "a/b.", "a/b@c..d",
        ] {
            assert_eq!(id(source), None, "{source}");
        }
    }

    #[test]
    fn a_revision_is_one_part_of_the_url() {
        let id = Id::parse("a/b@refs/pr/1");
        let url = id.map(|id| id.url("https://huggingface.co", "config.json"));
        let expected = "https://huggingface.co/a/b/resolve/refs%2Fpr%2F1/config.json";
        assert_eq!(url.as_deref(), Some(expected));
    }
}
