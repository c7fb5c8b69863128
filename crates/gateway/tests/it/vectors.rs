//! Golden vectors: the same call as a reply and as a stream, with what it must cost, written by hand for each provider.
//!
//! Both ways of reading it, and the reply assembled from the stream, give the usage and the amount that stand in the file,
//! to the nano-dollar. Cases 9 and 10 of the public failures of other gateways are among them: tokens of the cache
//! (BerriAI/litellm#9812, #11789, #40006; maximhq/bifrost#904, #3451; Portkey-AI/gateway#1210) and of reasoning
//! (BerriAI/litellm#18599, #10567; agentgateway/agentgateway#3228).

use std::{collections::BTreeSet, path::PathBuf};

use bytes::Bytes;
use llm::{Assembler, Dialect, Endpoint, Reading, StreamObserver, read_reply};
use model::{NanoUsd, ServiceTier, Usage};
use pricing::{Override, PriceBook};
use serde_json::Value;

/// A file of `tests/vectors`: heads up to the reply, the reply, the stream.
struct Vector {
    heads: Vec<(String, String)>,
    reply: String,
    stream: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

impl Vector {
    fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
        let (heads, rest) = text.split_once("--- reply\n").unwrap();
        let (reply, stream) = rest.split_once("--- stream\n").unwrap();
        let lines = heads.lines().filter(|line| !line.starts_with('#'));
        let heads = lines.map(|line| line.split_once(": ").unwrap());
        Self {
            heads: heads.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            reply: reply.to_owned(),
            // The last line end of a file is easily lost, and an event needs two.
            stream: format!("{}\n\n", stream.trim_end()),
        }
    }

    fn head(&self, name: &str) -> Option<&str> {
        let found = self.heads.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn endpoint(&self) -> Endpoint {
        let path = self.head("path").unwrap();
        let of = |dialect| Endpoint::find(dialect, "POST", path).ok();
        of(Dialect::OpenAi).or_else(|| of(Dialect::Anthropic)).unwrap().endpoint
    }

    fn check(&self) {
        let endpoint = self.endpoint();
        let json = "application/json";
        let whole = read_reply(endpoint, json, self.reply.as_bytes()).unwrap();
        self.costs("the reply", &whole);
        for size in [1, 13, 1 << 20] {
            self.costs("the stream", &self.observed(size));
            let mut assembler = Assembler::new(endpoint, 1 << 20).unwrap();
            let pieces = self.stream.as_bytes().chunks(size);
            pieces.for_each(|piece| assembler.push(piece).unwrap());
            let reply = assembler.finish().unwrap();
            self.costs("the assembled reply", &read_reply(endpoint, json, &reply).unwrap());
            let [mut found, mut expected] =
                [&reply[..], self.reply.as_bytes()].map(|text| serde_json::from_slice::<Value>(text).unwrap());
            for name in self.head("unlike").into_iter().flat_map(str::split_whitespace) {
                found.as_object_mut().unwrap().remove(name);
                expected.as_object_mut().unwrap().remove(name);
            }
            assert_eq!(found, expected, "the assembled reply is the reply");
        }
    }

    fn observed(&self, size: usize) -> Reading {
        let mut observer = StreamObserver::new(self.endpoint(), false);
        let mut out = Vec::new();
        for piece in self.stream.as_bytes().chunks(size) {
            observer.push(Bytes::copy_from_slice(piece), &mut out);
        }
        observer.finish(&mut out);
        assert!(observer.ended() && observer.provider_error().is_none());
        assert!(out.concat() == self.stream.as_bytes(), "it passes unchanged");
        let used = observer.reading().usage.unwrap();
        assert!(observer.proven_output_tokens() <= used.output + used.audio_output);
        observer.reading().clone()
    }

    fn costs(&self, what: &str, reading: &Reading) {
        let expected: Usage = serde_json::from_str(self.head("usage").unwrap()).unwrap();
        assert_eq!(reading.usage, Some(expected), "{what}");
        let own: Option<Override> = self.head("own").map(|own| serde_json::from_str(own).unwrap());
        let prices = PriceBook::builtin().with_overrides(own.into_iter().collect()).unwrap();
        let (provider, model) = self.head("prices").unwrap().split_once(' ').unwrap();
        let tier = reading.tier.unwrap_or(ServiceTier::Standard);
        let cost = prices.require(provider, model).unwrap().cost(&expected, tier).unwrap();
        let amount = NanoUsd(self.head("cost").unwrap().parse().unwrap());
        assert_eq!(cost, amount, "{what}");
    }
}

macro_rules! vectors {
    ($($case:ident { $($name:ident $file:literal,)+ })+) => {
        $(mod $case {
            $(#[test]
            fn $name() {
                super::Vector::read($file).check();
            })+
        })+

        #[test]
        fn every_vector_is_checked() {
            let listed: BTreeSet<String> = [$($($file),+),+].iter().map(|file| format!("{file}.txt")).collect();
            let files = std::fs::read_dir(folder()).unwrap();
            let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            let files: BTreeSet<String> = names.filter(|name| name != "README.md").collect();
            assert_eq!(files, listed);
        }
    };
}

vectors! {
    case_09_cache_tokens {
        openai_chat "openai-chat-cached",
        openai_responses "openai-responses",
        anthropic "anthropic-cache",
        deepseek "deepseek-chat",
        mistral "mistral",
        azure "azure-chat",
    }
    case_10_reasoning_tokens {
        openai_nested "openai-chat-reasoning",
        anthropic_nested "anthropic-thinking",
        deepseek_shown "deepseek-reasoner",
        vllm_shown "vllm",
        xai_separate "xai-reasoning",
    }
    others {
        openai_audio "openai-chat-audio",
        openai_predicted_outputs "openai-chat-predicted",
        openai_tools "openai-chat-tools",
        openai_completions "openai-completions",
        anthropic_server_tools "anthropic-server-tools",
        groq "groq-x-groq",
        ollama "ollama",
    }
}
