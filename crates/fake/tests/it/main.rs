//! The provider over real HTTP, as its clients see it.

#[cfg(test)]
mod anthropic;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod media;
#[cfg(test)]
mod openai;
#[cfg(test)]
mod record;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod support;
#[cfg(test)]
mod texts;
#[cfg(test)]
mod work;
