//! Gaps are filled upwards, and the steps are those the providers bill by.

use super::*;
use crate::{Field, PerMillion};

fn price(text: &str) -> Price {
    text.parse::<PerMillion>().unwrap().per_token()
}

/// Lists prices given as `field dollars-per-million` and completes them.
fn sheets(writes: Writes, fields: &[(&str, &str)]) -> Sheets {
    let mut gaps = Gaps::new(writes);
    for (name, text) in fields {
        let Some(Field::Rate { class, above, tier }) = Field::classify(name) else {
            panic!("{name}")
        };
        gaps.list(tier, above, class, price(text));
    }
    gaps.complete().unwrap()
}

/// `input read write write-1h output reasoning`, in dollars per million.
fn shown(rates: &Rates) -> String {
    let text = |price: Option<Price>| price.map_or("-".to_owned(), |price| price.times_million().unwrap().to_string());
    let classes = [
        Class::Input,
        Class::CacheRead,
        Class::CacheWrite,
        Class::CacheWrite1h,
        Class::Output,
        Class::Reasoning,
    ];
    classes.map(|class| text(rates.own(class))).join(" ")
}

/// `audio-in audio-read audio-out image-in image-read image-out`, in dollars per million.
fn shown_other(rates: &Rates) -> String {
    let text = |price: Option<Price>| price.map_or("-".to_owned(), |price| price.times_million().unwrap().to_string());
    let classes = [
        Class::AudioInput,
        Class::AudioCacheRead,
        Class::AudioOutput,
        Class::ImageInput,
        Class::ImageCacheRead,
        Class::ImageOutput,
    ];
    classes.map(|class| text(rates.own(class))).join(" ")
}

#[track_caller]
fn check(sheet: &Sheet, input_total: u64, expected: &str) {
    assert_eq!(shown(sheet.at(input_total)), expected, "at {input_total}");
}

#[test]
fn what_is_missing_costs_what_input_or_output_costs() {
    let bare = [("input_cost_per_token", "2"), ("output_cost_per_token", "8")];
    let plain = sheets(Writes::AsInput, &bare);
    check(&plain.standard, 1, "2 2 2 2 8 -");
    assert_eq!(plain.flex, plain.standard);
    assert_eq!(plain.priority, None);
    check(&sheets(Writes::Surcharged, &bare).standard, 1, "2 2 2.5 4 8 -");
}

#[test]
fn cache_writes_are_never_below_input() {
    let low = [
        ("input_cost_per_token", "2"),
        ("output_cost_per_token", "8"),
        ("cache_creation_input_token_cost", "1"),
    ];
    check(&sheets(Writes::AsInput, &low).standard, 1, "2 2 2 2 8 -");
    let hour = [
        ("input_cost_per_token", "2"),
        ("output_cost_per_token", "8"),
        ("cache_creation_input_token_cost", "5"),
    ];
    check(&sheets(Writes::Surcharged, &hour).standard, 1, "2 2 5 5 8 -");
}

#[test]
fn of_two_names_for_a_price_the_dearer_counts() {
    let two = [
        ("input_cost_per_token", "2"),
        ("output_cost_per_token", "8"),
        ("cache_read_input_token_cost", "0.4"),
        ("explicit_cache_read_input_token_cost", "0.2"),
    ];
    check(&sheets(Writes::AsInput, &two).standard, 1, "2 0.4 2 2 8 -");
}

#[test]
fn the_whole_request_moves_to_the_step_above_the_threshold() {
    let stepped = sheets(
        Writes::AsInput,
        &[
            ("input_cost_per_token", "2"),
            ("cache_read_input_token_cost", "0.2"),
            ("output_cost_per_token", "8"),
            ("output_cost_per_reasoning_token", "9"),
            ("input_cost_per_token_above_200k_tokens", "4"),
            ("output_cost_per_token_above_200k_tokens", "12"),
            ("output_cost_per_token_above_512k_tokens", "13"),
        ],
    );
    check(&stepped.standard, 0, "2 0.2 2 2 8 9");
    check(&stepped.standard, 200_000, "2 0.2 2 2 8 9");
    // No cached price is listed above the step, so reads cost what input costs; reasoning is no cheaper than output.
    check(&stepped.standard, 200_001, "4 4 4 4 12 12");
    check(&stepped.standard, 512_001, "4 4 4 4 13 13");
    assert_eq!(stepped.standard.reachable(200_000).count(), 1);
    assert_eq!(stepped.standard.reachable(200_001).count(), 2);
    assert_eq!(stepped.standard.reachable(u64::MAX).count(), 3);
    assert_eq!(stepped.flex, stepped.standard);
}

#[test]
fn flex_is_bounded_by_standard_where_it_lists_nothing() {
    let flex = sheets(
        Writes::AsInput,
        &[
            ("input_cost_per_token", "2"),
            ("cache_read_input_token_cost", "0.2"),
            ("output_cost_per_token", "8"),
            ("input_cost_per_token_above_200k_tokens", "4"),
            ("cache_read_input_token_cost_above_200k_tokens", "0.4"),
            ("output_cost_per_token_above_200k_tokens", "12"),
            ("input_cost_per_token_flex", "1"),
            ("output_cost_per_token_flex", "4"),
            ("output_cost_per_token_above_200k_tokens_flex", "6"),
        ],
    )
    .flex;
    check(&flex, 1, "1 0.2 2 2 4 -");
    check(&flex, 200_001, "4 0.4 4 4 6 -");
}

#[test]
fn priority_is_never_below_standard_nor_below_a_shorter_request() {
    let listed = [
        ("input_cost_per_token", "2"),
        ("cache_read_input_token_cost", "0.2"),
        ("output_cost_per_token", "8"),
        ("input_cost_per_token_above_200k_tokens", "5"),
        ("output_cost_per_token_above_200k_tokens", "12"),
        ("cache_read_input_token_cost_above_200k_tokens", "0.4"),
        ("input_cost_per_token_priority", "4"),
        ("output_cost_per_token_priority", "16"),
    ];
    let priority = sheets(Writes::AsInput, &listed).priority.unwrap();
    check(&priority, 1, "4 4 4 4 16 -");
    check(&priority, 200_001, "5 4 5 5 16 -");

    // Half a price list is none.
    let half = sheets(Writes::AsInput, &listed[..7]);
    assert_eq!(half.priority, None);
}

#[test]
fn a_threshold_of_one_tier_leaves_the_others_alone() {
    let stepped = sheets(
        Writes::AsInput,
        &[
            ("input_cost_per_token", "2"),
            ("cache_read_input_token_cost", "0.2"),
            ("output_cost_per_token", "8"),
            ("input_cost_per_token_flex", "1"),
            ("input_cost_per_token_priority", "4"),
            ("output_cost_per_token_priority", "16"),
            ("input_cost_per_token_above_272k_tokens_priority", "6"),
        ],
    );
    check(&stepped.standard, 300_000, "2 0.2 2 2 8 -");
    check(&stepped.flex, 300_000, "1 0.2 2 2 8 -");
    check(&stepped.priority.unwrap(), 300_000, "6 4 6 6 16 -");
}

#[test]
fn audio_and_pictures_are_filled_upwards_or_not_at_all() {
    let text = [("input_cost_per_token", "2"), ("output_cost_per_token", "8")];
    let with = |more: &[(&str, &str)]| sheets(Writes::AsInput, &[&text[..], more].concat());
    // Pictures count as text; audio has no price unless one is listed.
    assert_eq!(shown_other(with(&[]).standard.at(0)), "- - - 2 - -");

    let rich = with(&[
        ("input_cost_per_audio_token", "3"),
        ("cache_read_input_token_cost", "0.5"),
        ("output_cost_per_audio_token", "20"),
        ("input_cost_per_image_token", "5"),
        ("output_cost_per_image_token", "40"),
        ("input_cost_per_token_above_200k_tokens", "4"),
        ("output_cost_per_token_above_200k_tokens", "30"),
        ("input_cost_per_token_priority", "4"),
        ("output_cost_per_token_priority", "16"),
        ("input_cost_per_audio_token_priority", "6"),
    ]);
    assert_eq!(shown_other(rich.standard.at(0)), "3 3 20 5 5 40");
    assert_eq!(shown_other(rich.standard.at(200_001)), "4 4 30 5 5 40");
    assert_eq!(rich.flex, rich.standard);
    // Nobody knows what the rest costs there.
    let priority = rich.priority.unwrap();
    assert_eq!(shown_other(priority.at(0)), "6 6 - - - -");
    assert_eq!(shown_other(priority.at(200_001)), "6 6 - - - -");
}
