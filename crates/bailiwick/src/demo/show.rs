//! Where everything is shown: a table that is redrawn in place on a terminal, plain lines elsewhere, JSON for programs.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;
use serde_json::json;

use super::{
    board::{Board, Note},
    event::{Called, Event, Fate},
    table,
    terminal::{self, Area, Size},
    text::Line,
};

/// The width of text that goes to no terminal.
const PLAIN_WIDTH: usize = 100;
/// Wider lines are hard to read.
const TEXT_WIDTH: usize = 100;

/// Standard output, in one of three ways.
#[derive(Debug)]
pub(crate) struct Show {
    way: Way,
    colours: bool,
    width: usize,
}

#[derive(Debug)]
enum Way {
    /// The table, until the work is done.
    Live(Area),
    /// A line for each thing worth telling.
    Lines,
    /// An object a line.
    Json,
}

impl Show {
    /// The way that suits standard output.
    pub(crate) fn new(json: bool) -> io::Result<Self> {
        if json {
            return Ok(Self {
                way: Way::Json,
                colours: false,
                width: 0,
            });
        }
        let colours = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        let size = terminal::size();
        let width = size.map_or(PLAIN_WIDTH, |size| size.columns);
        let needed = table::frame(&Board::new(), width).len();
        let way = match size {
            // The line below the table is the cursor's.
            Some(Size { rows, .. }) if rows > needed => Way::Live(Area::new(colours)?),
            _ => Way::Lines,
        };
        Ok(Self { way, colours, width })
    }

    /// Says what this is, where no table does.
    pub(crate) fn open(&mut self) -> io::Result<()> {
        match self.way {
            Way::Lines => self.lines(&[table::title(self.width), Line::default()]),
            Way::Live(_) | Way::Json => Ok(()),
        }
    }

    /// Whether programs read it.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.way, Way::Json)
    }

    /// Whether a person watches a table.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.way, Way::Live(_))
    }

    /// How wide text for people is.
    pub(crate) fn text_width(&self) -> usize {
        self.width.min(TEXT_WIDTH)
    }

    /// The terminal may have another size now.
    pub(crate) fn resized(&mut self) {
        if let (true, Some(size)) = (self.is_live(), terminal::size()) {
            self.width = size.columns;
        }
    }

    /// Shows what happened at a time since the start, where everything is shown at once.
    pub(crate) fn event(&mut self, event: &Event, at: Duration) -> io::Result<()> {
        match (&self.way, event) {
            (Way::Json, Event::Called(call)) => self.object(&call_object(call, at)),
            (Way::Json, Event::Note { agent, text, .. }) => {
                self.object(&json!({"event": "note", "at_ms": millis(at), "agent": agent, "text": text}))
            }
            (Way::Lines, Event::Note { agent, tone, text }) => {
                let note = Note {
                    at,
                    agent: *agent,
                    tone: *tone,
                    text: text.clone(),
                };
                self.lines(&[table::note_line(&note, true)])
            }
            _ => Ok(()),
        }
    }

    /// Draws the table again.
    pub(crate) fn draw(&mut self, board: &Board) -> io::Result<()> {
        match &mut self.way {
            Way::Live(area) => area.draw(&table::frame(board, self.width), self.width),
            Way::Lines | Way::Json => Ok(()),
        }
    }

    /// Shows the table for the last time. From here on there are only lines.
    pub(crate) fn close(&mut self, board: &Board) -> io::Result<()> {
        match &mut self.way {
            Way::Live(area) => {
                area.draw(&table::last_frame(board, self.width), self.width)?;
                self.way = Way::Lines;
            }
            Way::Lines => {
                self.lines(&[Line::default()])?;
                self.lines(&table::table(board, self.width))?;
            }
            Way::Json => {}
        }
        Ok(())
    }

    /// Prints lines for people; nothing for programs.
    pub(crate) fn lines(&mut self, lines: &[Line]) -> io::Result<()> {
        if self.is_json() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        for line in lines {
            writeln!(stdout, "{}", line.paint(self.colours))?;
        }
        stdout.flush()
    }

    /// Prints an object for programs; nothing for people.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> io::Result<()> {
        if !self.is_json() {
            return Ok(());
        }
        let mut text = serde_json::to_vec(object)?;
        text.push(b'\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(&text)?;
        stdout.flush()
    }
}

/// A call as an object.
fn call_object(call: &Called, at: Duration) -> serde_json::Value {
    let decision = match call.fate() {
        Fate::Denied => "deny",
        Fate::Allowed | Fate::Failed => "allow",
    };
    json!({
        "event": "call",
        "at_ms": millis(at),
        "agent": call.agent,
        "upstream": call.upstream,
        "model": call.model,
        "stream": call.stream,
        "task": call.task,
        "decision": decision,
        "reason": call.reason,
        "status": call.status,
        "request_id": call.request_id,
        "cost_usd": call.cost_usd,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "took_ms": millis(call.took),
    })
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
