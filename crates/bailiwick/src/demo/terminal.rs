//! What the terminal is like, and drawing on it in place.

use std::{
    io::{self, IsTerminal as _, Stdout, Write as _},
    os::fd::AsFd as _,
    process::{Command, Stdio},
};

use super::text::Line;

/// Hide the cursor while something is redrawn; show it again.
const HIDE: &str = "\x1b[?25l";
const SHOW: &str = "\x1b[?25h";
/// Hold back what follows until it is complete (<https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036>);
/// terminals that do not know it pass over it. And do not break long lines meanwhile.
const BEGIN: &str = "\x1b[?2026h\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?2026l";
/// Erase to the end of the line; to the end of the screen.
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";

/// Columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { columns: 80, rows: 24 }
    }
}

/// The terminal that standard output is; `None` if it is none, or one that cannot be drawn on.
pub(crate) fn size() -> Option<Size> {
    let stdout = io::stdout();
    if !stdout.is_terminal() || std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return None;
    }
    Some(measured(&stdout).unwrap_or_default())
}

/// As POSIX's `stty` says it. Asking the terminal directly takes a system call that needs unsafe code or one more crate.
fn measured(stdout: &Stdout) -> Option<Size> {
    let terminal = stdout.as_fd().try_clone_to_owned().ok()?;
    let output = Command::new("stty")
        .arg("size")
        .stdin(terminal)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    parse(std::str::from_utf8(&output.stdout).ok()?)
}

/// Terminals that nobody told their size say 0.
fn parse(text: &str) -> Option<Size> {
    let (rows, columns) = text.trim().split_once(' ')?;
    let size = Size {
        columns: columns.parse().ok()?,
        rows: rows.parse().ok()?,
    };
    (size.columns > 0 && size.rows > 0).then_some(size)
}

/// An area of the terminal that is drawn again and again. Dropping it shows the cursor.
#[derive(Debug)]
pub(crate) struct Area {
    colours: bool,
    /// The widths of the lines drawn last.
    drawn: Vec<usize>,
}

impl Area {
    /// An area below what is there.
    pub(crate) fn new(colours: bool) -> io::Result<Self> {
        emit(HIDE)?;
        Ok(Self {
            colours,
            drawn: Vec::new(),
        })
    }

    /// Draws lines in place of those drawn before, in one write, on a terminal of so many columns.
    pub(crate) fn draw(&mut self, lines: &[Line], columns: usize) -> io::Result<()> {
        let mut text = String::from(BEGIN);
        text.push_str(&self.back(columns));
        for line in lines {
            text.push_str(&line.paint(self.colours));
            // Behind a full line the cursor still stands on its last character.
            if line.width() < columns {
                text.push_str(REST_OF_LINE);
            }
            text.push('\n');
        }
        text.push_str(REST_OF_SCREEN);
        text.push_str(END);
        self.drawn = lines.iter().map(Line::width).collect();
        emit(&text)
    }

    /// Back to the first line. A terminal that has become narrower has broken the lines that no longer fitted.
    fn back(&self, columns: usize) -> String {
        let rows: usize = self
            .drawn
            .iter()
            .map(|width| width.div_ceil(columns.max(1)).max(1))
            .sum();
        match rows {
            0 => String::new(),
            rows => format!("\r\x1b[{rows}A"),
        }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // There is nobody left to tell.
        drop(emit(SHOW));
    }
}

fn emit(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::event::Tone;

    #[test]
    fn sizes_are_read() {
        let size = |rows, columns| Some(Size { columns, rows });
        for (text, expected) in [
            ("24 80\n", size(24, 80)),
            ("50 212\n", size(50, 212)),
            ("0 0\n", None),
            ("", None),
            ("24", None),
            ("24 eighty", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_way_back_counts_lines_that_were_broken() {
        let area = |widths: &[usize]| {
            let drawn = widths.to_vec();
            std::mem::ManuallyDrop::new(Area { colours: false, drawn })
        };
        assert_eq!(area(&[]).back(80), "");
        assert_eq!(area(&[80, 0, 12]).back(80), "\r\x1b[3A");
        assert_eq!(area(&[80, 0, 12]).back(40), "\r\x1b[4A");
        assert_eq!(area(&[80, 0, 12]).back(30), "\r\x1b[5A");
        assert_eq!(Line::of(Tone::Plain, "x").width(), 1);
    }
}
