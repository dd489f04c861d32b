use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};

use super::id::Id;
use super::{Failure, Hub};

/// Downloads a file into the cache, and notes there the commit of the revision.
pub(super) fn file(hub: &Hub, id: &Id, file: &str) -> Result<(), Failure> {
    let url = id.url(&hub.endpoint, file);
    match try_file(hub, id, file) {
        Ok(()) => Ok(()),
        Err(ApiError::RequestError(error)) => {
            let reason = error.to_string();
            Err(match error.into_response() {
                Some(response) => Failure::Status {
                    url,
                    status: response.status(),
                },
                None => Failure::Other { url, reason },
            })
        }
        Err(error) => Err(Failure::Other {
            url,
            reason: error.to_string(),
        }),
    }
}

fn try_file(hub: &Hub, id: &Id, file: &str) -> Result<(), ApiError> {
    let api = ApiBuilder::from_cache(Cache::new(hub.cache.clone()))
        .with_endpoint(hub.endpoint.clone())
        .with_token(hub.token.clone())
        .build()?;
    let (repository, revision) = (id.repository.clone(), id.revision.clone());
    let repository = Repo::with_revision(repository, RepoType::Model, revision);
    api.repo(repository).download(file)?;
    Ok(())
}
