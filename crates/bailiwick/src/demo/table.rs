//! The board as lines of text, for any width.

use std::time::Duration;

use super::{
    board::{Board, NOTES, Note, Row},
    event::{State, Tone},
    text::{Line, bar, grouped, usd, usd_limit},
};

/// From this width on, what an agent does stands in its row; below, in a line of its own.
const WIDE: usize = 118;
/// From this width on there is room for the bar and the tokens.
const ROOMY: usize = 76;

/// What every layout has, in columns.
const NAME: usize = 17;
const CALLS: usize = 5;
const ALLOWED: usize = 7;
const DENIED: usize = 6;
const SPENT: usize = 16;
const REASON: usize = 16;
const TOKENS: usize = 7;
const BAR: usize = 8;

/// The widths that differ.
#[derive(Clone, Copy)]
struct Layout {
    /// Of the column with what an agent does; `None` if that stands below.
    doing: Option<usize>,
    /// Of the bar; `None` if there is neither bar nor tokens.
    bar: Option<usize>,
}

impl Layout {
    fn of(width: usize) -> Self {
        let always = 2 + NAME + 1 + CALLS + 2 + ALLOWED + 2 + DENIED + 2 + SPENT;
        let roomy = always + 1 + 2 + TOKENS;
        let wide = roomy + BAR + 2 + REASON + 2;
        match width {
            WIDE.. => Self {
                doing: Some((width - wide).min(40)),
                bar: Some(BAR),
            },
            ROOMY.. => Self {
                doing: None,
                bar: Some((width - roomy).min(2 * BAR)),
            },
            _ => Self { doing: None, bar: None },
        }
    }
}

/// The whole board: a heading, the table, what just happened. Always as many lines for the same width.
pub(crate) fn frame(board: &Board, width: usize) -> Vec<Line> {
    let mut lines = last_frame(board, width);
    lines.push(Line::default());
    let missing = NOTES.saturating_sub(board.notes.len());
    let last = board.notes.len().saturating_sub(1);
    for (nth, note) in board.notes.iter().enumerate() {
        lines.push(note_line(note, nth == last).fit(width));
    }
    lines.extend(std::iter::repeat_n(Line::default(), missing));
    lines
}

/// The board once all is over: what just happened is no longer news.
pub(crate) fn last_frame(board: &Board, width: usize) -> Vec<Line> {
    let mut lines = vec![heading(board.elapsed, width), Line::default()];
    lines.extend(table(board, width));
    lines
}

/// The table alone.
pub(crate) fn table(board: &Board, width: usize) -> Vec<Line> {
    let layout = Layout::of(width);
    let mut lines = vec![head(layout).fit(width)];
    for row in &board.rows {
        lines.push(row_line(row, layout).fit(width));
        if layout.doing.is_none() {
            lines.push(below(row).fit(width));
        }
    }
    lines
}

/// Something that happened, as a line.
pub(crate) fn note_line(note: &Note, fresh: bool) -> Line {
    let tone = |tone| if fresh { tone } else { Tone::Faint };
    Line::default()
        .right(Tone::Faint, &seconds(note.at), 6)
        .with(Tone::Plain, "  ")
        .left(tone(Tone::Plain), note.agent.name(), NAME)
        .with(Tone::Plain, "  ")
        .with(tone(note.tone), note.text.clone())
}

/// `4.1s`
pub(crate) fn seconds(time: Duration) -> String {
    format!("{}.{}s", time.as_secs(), time.subsec_millis() / 100)
}

fn heading(elapsed: Duration, width: usize) -> Line {
    let left = title(width.saturating_sub(7));
    let gap = width.saturating_sub(left.width());
    left.right(Tone::Faint, &seconds(elapsed), gap).fit(width)
}

/// What this is, in so many columns.
pub(crate) fn title(width: usize) -> Line {
    let name = Line::of(Tone::Strong, "bailiwick demo");
    let room = width.saturating_sub(name.width());
    let told = [
        " · four agents, one gateway, a fake provider · nothing leaves this machine",
        " · four agents, one gateway, a fake provider",
        "",
    ];
    let told = told.into_iter().find(|told| told.chars().count() <= room);
    name.with(Tone::Faint, told.unwrap_or_default())
}

fn head(layout: Layout) -> Line {
    let mut line = Line::of(Tone::Faint, "  ").left(Tone::Faint, "AGENT", NAME);
    if let Some(columns) = layout.doing {
        line = line.with(Tone::Plain, "  ").left(Tone::Faint, "DOING", columns);
    }
    line = line
        .right(Tone::Faint, "CALLS", 1 + CALLS)
        .right(Tone::Faint, "ALLOWED", 2 + ALLOWED)
        .right(Tone::Faint, "DENIED", 2 + DENIED);
    if layout.doing.is_some() {
        line = line.with(Tone::Plain, "  ").left(Tone::Faint, "LAST REASON", REASON);
    }
    line = line.with(Tone::Plain, "  ").left(Tone::Faint, "SPENT OF LIMIT", SPENT);
    if let Some(columns) = layout.bar {
        line = line
            .with(Tone::Plain, " ".repeat(1 + columns))
            .right(Tone::Faint, "TOKENS", 2 + TOKENS);
    }
    line
}

fn row_line(row: &Row, layout: Layout) -> Line {
    let (sign, tone) = sign(row.state);
    let refused = row.refused();
    let denied = if refused > 0 { Tone::Bad } else { Tone::Faint };
    let mut line = Line::of(tone, sign)
        .with(Tone::Plain, " ")
        .left(Tone::Strong, row.agent.name(), NAME);
    if let Some(columns) = layout.doing {
        line = line
            .with(Tone::Plain, "  ")
            .left(doing_tone(row.state), &row.doing, columns);
    }
    line = line
        .right(Tone::Plain, &grouped(row.calls), 1 + CALLS)
        .right(Tone::Plain, &grouped(row.allowed), 2 + ALLOWED)
        .right(denied, &grouped(refused), 2 + DENIED);
    if layout.doing.is_some() {
        let reason = row.last_reason.as_deref().unwrap_or_default();
        line = line.with(Tone::Plain, "  ").left(Tone::Bad, reason, REASON);
    }
    let spent = format!("{} of {}", usd(row.spent), usd_limit(row.limit));
    line = line.with(Tone::Plain, "  ").left(Tone::Plain, &spent, SPENT);
    if let Some(columns) = layout.bar {
        let (full, rest) = bar(row.spent, row.limit, columns);
        line = line
            .with(Tone::Plain, " ")
            .with(bar_tone(row), full)
            .with(Tone::Faint, rest)
            .right(Tone::Plain, &grouped(row.tokens), 2 + TOKENS);
    }
    line
}

/// What an agent does, and why it was last refused, where the row has no room for it.
fn below(row: &Row) -> Line {
    let line = Line::of(doing_tone(row.state), format!("  {}", row.doing));
    match &row.last_reason {
        Some(reason) => line
            .with(Tone::Faint, " · last refusal: ")
            .with(Tone::Bad, reason.clone()),
        None => line,
    }
}

fn sign(state: State) -> (&'static str, Tone) {
    match state {
        State::Waiting => ("○", Tone::Faint),
        State::Working => ("●", Tone::Plain),
        State::Stopped => ("■", Tone::Bad),
        State::Done => ("✓", Tone::Good),
        State::Failed => ("✗", Tone::Bad),
    }
}

fn doing_tone(state: State) -> Tone {
    match state {
        State::Stopped | State::Failed => Tone::Bad,
        _ => Tone::Faint,
    }
}

/// Yellow from three quarters of the limit on, red once the agent was stopped.
fn bar_tone(row: &Row) -> Tone {
    let nearly = i128::from(row.spent.0) * 4 >= i128::from(row.limit.0) * 3;
    match row.state {
        State::Stopped => Tone::Bad,
        _ if nearly => Tone::Warn,
        _ => Tone::Good,
    }
}
