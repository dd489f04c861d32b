//! The best, the median and the worst predictions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::classes::swatch;
use super::numbers;
use super::run::Run;
use crate::{Gallery, GalleryEntry, Picture, Rank};

const RANKS: [(Rank, &str); 3] = [
    (Rank::Best, "Best"),
    (Rank::Median, "Median"),
    (Rank::Worst, "Worst"),
];

/// The section of all runs' pictures.
pub(super) fn section(runs: &[Run]) -> Markup {
    html! {
        section {
            h2 { "Predictions" }
            @for run in runs {
                @if runs.len() > 1 { h3.run { (run.name) } }
                @match &run.gallery {
                    Some(gallery) => (of(gallery, run)),
                    None => p.note { "No pictures yet: gallery/gallery.json is missing." },
                }
            }
        }
    }
}

fn of(gallery: &Gallery, run: &Run) -> Markup {
    let classes = gallery.classes();
    let record = run
        .history
        .records()
        .iter()
        .find(|record| record.step == gallery.step());
    html! {
        p.lead {
            @match record {
                Some(record) => { "After epoch " (record.epoch) },
                None => { "After step " (gallery.step()) },
            }
            ", each with the mean IoU of its photo. "
            span.classes {
                @for (class, name) in classes.names().iter().enumerate() {
                    span { (swatch(Some(classes), class)) (name) }
                }
            }
        }
        @for (rank, title) in RANKS {
            @let entries: Vec<&GalleryEntry> = gallery.entries().iter().filter(|entry| entry.rank == rank).collect();
            @if !entries.is_empty() {
                h4 { (title) }
                div.gallery { @for entry in entries { (figure(entry)) } }
            }
        }
    }
}

fn figure(entry: &GalleryEntry) -> Markup {
    let pictures = [
        ("Photo", &entry.photo),
        ("Truth", &entry.truth),
        ("Prediction", &entry.prediction),
        ("Overlay", &entry.overlay),
    ];
    html! {
        figure {
            figcaption { span { (entry.name) } strong { (numbers::score(entry.score)) } }
            div.pictures {
                @for (kind, picture) in pictures {
                    div {
                        img src=(data(picture)) alt={ (kind) " of " (entry.name) };
                        small aria-hidden="true" { (kind) }
                    }
                }
            }
        }
    }
}

/// A picture within the page.
fn data(picture: &Picture) -> String {
    let kind = picture.format().to_mime_type();
    format!("data:{kind};base64,{}", STANDARD.encode(picture.bytes()))
}
