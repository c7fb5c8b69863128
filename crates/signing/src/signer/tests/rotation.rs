//! Exchanging keys: each step fails, lands all the same, or is the last before the process dies.

use entry::Evidence;
use tlog::note::{SigningKey, VerifierKey};

use super::*;

impl World {
    async fn said(&self) -> (u64, Evidence) {
        let view = self.committer.view(tenant()).await.unwrap();
        (view.size, view.evidence)
    }

    /// The next key, whose file is durable and of which no entry tells.
    async fn spare(&self, seed: u8) -> Arc<SigningKey> {
        let (_, said) = self.said().await;
        self.keyring
            .spare(&tenant(), &said, || Zeroizing::new([seed; 32]))
            .unwrap()
    }

    async fn add(&self, key: &SigningKey) {
        let signing = self.keyring.signing(&tenant()).unwrap();
        let added = Event::SigningKeyAdded {
            key: key.verifier().to_string(),
            beside: signing.keys.last().unwrap().verifier().to_string(),
            by: AdminName::new("ada").unwrap(),
        };
        self.committer.change(tenant(), vec![added]).await.unwrap();
    }

    async fn retire(&self, key: &SigningKey) {
        let retired = Event::SigningKeyRetired {
            key: key.verifier().to_string(),
            by: AdminName::new("ada").unwrap(),
        };
        self.committer.change(tenant(), vec![retired]).await.unwrap();
    }

    /// The process dies and starts again: what it knows of keys is what is on disk and in the log.
    async fn restart(&mut self) -> Result<(), SigningError> {
        let data = self.dir.path().join("data");
        let keyring = Arc::new(Keyring::new("test.example".to_owned(), data));
        let signed = self.reader.checkpoint(&tenant()).await.unwrap().is_some();
        keyring.prepare(&tenant(), signed, || Zeroizing::new([99; 32]))?;
        self.signer = Signer::new(keyring.clone(), self.dir.path().join("guard"), seed);
        self.keyring = keyring;
        self.signer.check_guard(&self.reader, &tenant()).await?;
        let (size, said) = self.said().await;
        self.keyring.settle(&tenant(), size, &said)?;
        self.signed.clear();
        Ok(())
    }

    fn signers(&self) -> Vec<VerifierKey> {
        let signing = self.keyring.signing(&tenant()).unwrap();
        signing.keys.iter().map(|key| key.verifier().clone()).collect()
    }

    fn handover(&self, key: &SigningKey) -> Option<String> {
        std::fs::read_to_string(self.keyring.handover(&tenant(), key.verifier().id())).ok()
    }

    fn vkeys(&self) -> Vec<String> {
        log_keys(&self.dir.path().join("data"))
            .unwrap()
            .remove(&tenant())
            .unwrap()
    }
}

fn opens(note: &str, key: &VerifierKey) -> bool {
    Checkpoint::open(note, std::slice::from_ref(key)).is_ok()
}

#[tokio::test]
async fn whoever_knew_the_old_key_is_led_to_the_new_one() {
    let mut world = World::new().await;
    assert!(world.round().await.is_none());
    let old = world.signers().remove(0);
    let new = world.spare(8).await;
    assert_eq!(
        world.signers(),
        std::slice::from_ref(&old),
        "a file alone signs nothing"
    );
    world.keyring.changing(&tenant());
    let before = world.head().size;
    world.add(&new).await;
    // The signer asks the log itself while the entry is on its way.
    assert!(world.round().await.is_none());
    let both = [old.clone(), new.verifier().clone()];
    assert_eq!(world.signers(), both);
    assert_eq!(world.vkeys(), both.clone().map(|key| key.to_string()));
    let handover = world.handover(&new).unwrap();
    assert!(opens(&handover, &old) && opens(&handover, new.verifier()));
    assert!(world.open(&handover).size > before, "it covers the entry");
    world.keyring.changed(&tenant());
    world.append().await;
    assert!(world.round().await.is_none());
    assert!(!world.keyring.is_to_ask(&tenant()), "the log has said");
    assert_eq!(world.handover(&new).unwrap(), handover, "the first one is kept");

    let first = world.keyring.signing(&tenant()).unwrap().keys[0].clone();
    world.keyring.changing(&tenant());
    world.retire(&first).await;
    world.keyring.changed(&tenant());
    assert!(world.round().await.is_none());
    assert_eq!(world.signers(), [new.verifier().clone()]);
    assert_eq!(world.vkeys(), [new.verifier().to_string()]);
    let note = world.reader.checkpoint(&tenant()).await.unwrap().unwrap();
    assert!(opens(&note, new.verifier()) && !opens(&note, &old));

    // Its file may go, and the server starts without.
    std::fs::remove_file(world.dir.path().join("data/keys/log._system.seed")).unwrap();
    world.restart().await.unwrap();
    assert_eq!(world.signers(), [new.verifier().clone()]);
    world.append().await;
    assert!(world.round().await.is_none());
    // And again: to a third one.
    let third = world.spare(9).await;
    world.add(&third).await;
    world.restart().await.unwrap();
    assert_eq!(world.signers(), [new.verifier().clone(), third.verifier().clone()]);
    assert!(world.round().await.is_none());
    assert!(opens(&world.handover(&third).unwrap(), new.verifier()));
    assert_eq!(world.handover(&new).unwrap(), handover, "kept for ever");
    world.stop().await;
}

/// A restored copy lost the rotation, and its key's file is there: another handover to the same key would look like a fork.
#[tokio::test]
async fn a_key_of_a_lost_rotation_is_not_taken_again() {
    let world = World::new().await;
    let lost = world.spare(8).await;
    assert_eq!(
        world.spare(9).await.verifier(),
        lost.verifier(),
        "nobody was told of it"
    );
    let aside = world.dir.path().join("data/handover/_system~lost-9-root");
    std::fs::create_dir_all(&aside).unwrap();
    std::fs::write(aside.join(lost.verifier().id().to_string()), "a note").unwrap();
    let next = world.spare(9).await;
    assert_ne!(next.verifier(), lost.verifier());
    assert_eq!(world.spare(10).await.verifier(), next.verifier());
    world.stop().await;
}

#[tokio::test]
async fn a_rotation_may_die_at_every_step() {
    // Behind the file, behind the entry, and at each step of the first checkpoint.
    for died in ["file", "entry", "guard", "handover", "save"] {
        for lands in [false, true] {
            let about = format!("{died} {lands}");
            let mut world = World::new().await;
            assert!(world.round().await.is_none(), "{about}");
            let new = world.spare(8).await;
            if died != "file" {
                world.keyring.changing(&tenant());
                world.add(&new).await;
                let step = match died {
                    "guard" => Some(Step::Guard),
                    "handover" => Some(Step::Handover),
                    "save" => Some(Step::Save),
                    _ => None,
                };
                if let Some(step) = step {
                    let fate = if lands { Fate::FailsButLands } else { Fate::Fails };
                    world.steps.order(step, fate);
                    assert!(world.round().await.is_some(), "{about}");
                }
            }
            world.restart().await.unwrap();
            if died == "file" {
                assert_eq!(world.signers().len(), 1, "{about}");
                let again = world.spare(9).await;
                assert_eq!(
                    again.verifier(),
                    new.verifier(),
                    "{about}: the file that is there is taken"
                );
                world.add(&again).await;
                world.restart().await.unwrap();
            }
            assert_eq!(world.signers().len(), 2, "{about}");
            world.append().await;
            assert!(world.round().await.is_none(), "{about}");
            let old = world.signers().remove(0);
            let handover = world.handover(&new).unwrap();
            assert!(opens(&handover, &old) && opens(&handover, new.verifier()), "{about}");
            world.check(&about).await;
            world.stop().await;
        }
    }
}

#[tokio::test]
async fn while_the_log_does_not_answer_nothing_is_signed_by_the_wrong_keys() {
    let mut world = World::new().await;
    let new = world.spare(8).await;
    world.keyring.changing(&tenant());
    world.add(&new).await;
    world.keyring.changed(&tenant());
    world.steps.order(Step::Said, Fate::Fails);
    assert!(world.round().await.is_some());
    assert_eq!(world.published(), None);
    assert!(world.round().await.is_none());
    assert_eq!(world.signers().len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn a_key_that_signs_and_is_gone_is_told() {
    let mut world = World::new().await;
    assert!(world.round().await.is_none());
    let new = world.spare(8).await;
    world.add(&new).await;
    world.restart().await.unwrap();
    assert!(world.round().await.is_none());
    let keys = world.dir.path().join("data/keys");
    let file = keys.join("log._system~2.seed");
    let seed = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = world.restart().await.unwrap_err();
    assert!(matches!(&error, SigningError::LostSigningKey { key, .. } if *key == new.verifier().to_string()));
    std::fs::write(&file, "no key").unwrap();
    assert!(matches!(world.restart().await.unwrap_err(), SigningError::Key(path) if path == file));
    std::fs::write(&file, seed).unwrap();
    world.restart().await.unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(keys.join("log._system.seed")).unwrap();
    assert!(matches!(world.restart().await.unwrap_err(), SigningError::LostKey(_)));
    world.stop().await;
}
