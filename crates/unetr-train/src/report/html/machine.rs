//! Where runs ran.

use maud::{Markup, html};

use super::run::Run;
use crate::{BuildProfile, Environment};

/// A property of the machine or the program.
type Property = (&'static str, fn(&Environment) -> String);

const PROPERTIES: [Property; 9] = [
    ("Device", |environment| environment.device.clone()),
    ("Processor", |environment| {
        or_unknown(environment.cpu.clone())
    }),
    ("Instruction sets", |environment| {
        match &environment.instruction_sets[..] {
            [] => environment.architecture.clone(),
            sets => format!("{}, {}", environment.architecture, sets.join(", ")),
        }
    }),
    ("Threads", |environment| {
        format!("{} of {} cores", environment.threads, environment.cores)
    }),
    ("Memory", |environment| {
        let gibibytes = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
        or_unknown(environment.memory.map(gibibytes))
    }),
    ("System", |environment| environment.os.clone()),
    ("Version", |environment| {
        format!("unetr-train {}", environment.version)
    }),
    ("Build", |environment| match environment.profile {
        BuildProfile::Release => "release".to_owned(),
        BuildProfile::Debug => "with debug assertions: its speed says little".to_owned(),
    }),
    ("Started", |environment| environment.date.clone()),
];

/// The section of all runs' machines, a column each.
pub(super) fn section(runs: &[Run]) -> Markup {
    html! {
        section {
            h2 { "Machine" }
            @for run in runs.iter().filter(|run| run.environment.is_none()) {
                p.note { "Not known: environment.json of " (run.name) " is missing." }
            }
            @if runs.iter().any(|run| run.environment.is_some()) {
                div.scroll tabindex="0" role="region" aria-label="Machine" {
                    table.settings {
                        @if runs.len() > 1 {
                            thead { tr {
                                td {}
                                @for run in runs { th scope="col" { (run.name) } }
                            } }
                        }
                        tbody {
                            @for (name, text) in PROPERTIES {
                                tr {
                                    th scope="row" { (name) }
                                    @for run in runs { td { (run.environment.as_ref().map_or("–".to_owned(), text)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn or_unknown(text: Option<String>) -> String {
    text.unwrap_or_else(|| "unknown".to_owned())
}
