//! Sans-I/O codecs of the OpenAI and Anthropic wire formats: bytes in, values out.
//!
//! - [`Endpoint::find`] says which governed endpoint a method and path name; everything else is refused.
//! - [`Call::read`] reads what a request asks for, [`Call::rewrite`] writes the few bytes the gateway must add.
//! - [`read_reply`] reads a whole reply, [`StreamObserver`] an event stream as it passes; of audio alone, [`Call::spoken`]
//!   says what it used.
//! - [`Assembler`] makes of an event stream the reply that the call would have had without one.
//! - [`step`] spells out what a request asks the model to do next, so that a loop shows.
//! - [`error_body`] and [`stream_error`] speak of failures in the caller's dialect.
//!
//! Two rules run through it. Bytes that are not ours to change leave as they came: there is no decode-and-encode
//! anywhere, and what is assembled keeps the spelling of its pieces. And figures err to one side only: what is *used* is never reported lower than the provider's words prove,
//! and what is *proven* is never reported higher.
//!
//! Nothing here does I/O, reads a clock or draws randomness.

mod anthropic;
mod assemble;
mod call;
mod endpoint;
mod error;
mod form;
mod json;
mod meter;
mod openai;
mod reply;
mod responses;
pub mod sse;
mod step;
mod stream;
mod usage;

pub use assemble::{AssembleError, Assembler};
pub use call::{Call, Edit, MAX_NAME_BYTES, ParseError};
pub use endpoint::{Dialect, Endpoint, EndpointError, Target};
pub use error::{error_body, stream_error};
pub use form::FormError;
pub use json::{JsonError, MAX_DEPTH};
pub use meter::LONGEST_TOKEN_BYTES;
pub use reply::{Reading, ReplyError, read_reply};
pub use step::{Sameness, step};
pub use stream::StreamObserver;
