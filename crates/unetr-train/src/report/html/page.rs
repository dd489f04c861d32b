use std::path::Path;
use std::time::SystemTime;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::run::{self, Run};
use super::{classes, curves, machine, pictures, settings, summary};
use crate::{Error, Result, date, files};

const STYLE: &str = include_str!("report.css");

/// Nothing is loaded from anywhere and nothing runs, whatever names and settings hold.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// Training runs as one HTML file, which needs nothing else: how far a run is, its scores, its curves, confusion
/// matrix, predictions, configuration and machine. Several runs are compared, with what differs between their
/// configurations.
///
/// It is made from what is in their [folders](crate::RunFolder), also while they go on, and changes nothing there. What
/// a run did not write is left out, with a note. A run that has not done all of its epochs counts as running until it
/// wrote nothing for ten minutes or for three times its longest epoch, whichever is longer.
///
/// The page is light or dark as the reader's system is, fits a telephone, prints, and has no script.
///
/// # Examples
/// ```no_run
/// # use unetr_train::Report;
/// # fn main() -> unetr_train::Result<()> {
/// Report::open(&["runs/pets"])?.write("runs/pets/report.html")?;
/// Report::open(&["runs/pets", "runs/pets-adamw"])?.write("runs/comparison.html")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Report {
    runs: Vec<Run>,
    /// When the folders were read.
    read: SystemTime,
}

impl Report {
    /// Reads the folders of one or more runs.
    ///
    /// # Errors
    /// When no folder is given, a folder holds neither `config.json` nor `history.jsonl`, or a file that is there is
    /// damaged. The last line of a history may be torn.
    pub fn open<P: AsRef<Path>>(folders: &[P]) -> Result<Self> {
        if folders.is_empty() {
            return Err(Error::Setting {
                what: "the list of runs".to_owned(),
                found: "empty".to_owned(),
                expected: "the folder of at least one run",
            });
        }
        let folders: Vec<&Path> = folders.iter().map(AsRef::as_ref).collect();
        let read = SystemTime::now();
        let runs = folders
            .iter()
            .zip(run::names(&folders))
            .map(|(folder, name)| Run::open(folder, name, read))
            .collect::<Result<_>>()?;
        Ok(Self { runs, read })
    }

    /// The page.
    pub fn html(&self) -> String {
        let title = match &self.runs[..] {
            [run] => run.name.clone(),
            runs => {
                let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
                names.join(" · ")
            }
        };
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    title { (title) " – training report" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        @match &self.runs[..] {
                            [run] => (single(run)),
                            runs => (several(runs, &title)),
                        }
                        (curves::section(&self.runs))
                        (classes::section(&self.runs))
                        (pictures::section(&self.runs))
                        (settings::section(&self.runs))
                        (machine::section(&self.runs))
                    }
                    footer {
                        "Made " (date::rfc3339(self.read)) " by unetr-train " (env!("CARGO_PKG_VERSION"))
                    }
                }
            }
        };
        page.into_string()
    }

    /// Writes the page as a whole.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        // By a run and by hand, perhaps.
        files::write_beside_others(path.as_ref(), self.html().as_bytes())
    }
}

fn single(run: &Run) -> Markup {
    html! {
        header {
            p.eyebrow { "Training report" }
            h1 { (run.name) }
            p.status {
                (summary::pill(run)) (run.status.progress())
                @if let Some(environment) = &run.environment { span.machine { (environment.device) } }
            }
            @if let Some(share) = run.status.share {
                div.progress aria-hidden="true" { div style={ "width:" (100.0 * share) "%" } {} }
            }
        }
        (summary::section(run))
    }
}

fn several(runs: &[Run], title: &str) -> Markup {
    html! {
        header {
            p.eyebrow { "Comparison of " (runs.len()) " training runs" }
            h1 { (title) }
        }
        (summary::comparison(runs))
        (settings::differing(runs))
    }
}
