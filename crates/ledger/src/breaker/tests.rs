//! Transitions as text tables, loops against a naive reading of the whole past, random traffic, and too little room.

mod loops;
mod properties;
mod room;
mod specs;
mod table;
mod transitions;
