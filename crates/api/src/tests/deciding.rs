//! What the decision point goes by when something changes while it is asked.

use authzen::Evaluation;
use control::{Actor, PepError, PepKeyOrder, PepSpec, Presented};
use entry::Role;
use model::{AdminName, PepName, TenantName};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::world::{World, declared};

fn pep(may_evaluate: bool) -> PepSpec {
    PepSpec {
        name: PepName::new("door").unwrap(),
        owner: "doors@acme.example".to_owned(),
        purpose: "Asks who may enter".to_owned(),
        may_evaluate,
        may_search: true,
        reasons_user: false,
        reasons_admin: false,
        certificates: Vec::new(),
    }
}

/// A right is looked at again when the question is answered: it may have been taken since its request began.
#[tokio::test]
async fn a_right_that_was_taken_since_the_request_began_is_none() {
    let world = World::new().await;
    let (name, role) = (AdminName::new("owner").unwrap(), Role::Owner);
    let owner = Actor { name, role };
    let declare = async |pep: Option<PepSpec>| {
        let mut governance = declared();
        governance.tenants.values_mut().next().unwrap().peps = pep.into_iter().collect();
        *world.declared.lock().unwrap() = Ok(governance);
        world.control.reload(&owner).await.unwrap();
    };
    declare(Some(pep(true))).await;
    let order = PepKeyOrder {
        tenant: TenantName::default_tenant(),
        pep: pep(true).name,
        label: String::new(),
        expires: None,
    };
    let issued = world.control.issue_pep_key(&owner, order).await.unwrap();
    let session = world.control.authenticate_pep(Presented {
        credential: Some(issued.credential.expose_secret()),
        certificate: None,
    });
    let session = session.unwrap();
    let question = json!({
        "subject": {"type": "User", "id": "ann"},
        "action": {"name": "enter"},
        "resource": {"type": "User", "id": "ann"},
    });
    let question = Evaluation::parse(question.to_string().as_bytes()).unwrap();
    let ask = async || world.control.evaluate(&session, &question).await;
    assert!(ask().await.is_ok());
    declare(Some(pep(false))).await;
    let refused = ask().await;
    assert!(matches!(refused, Err(PepError::Forbidden(_))), "{refused:?}");
    declare(None).await;
    let refused = ask().await;
    assert!(matches!(refused, Err(PepError::Unauthenticated(_))), "{refused:?}");
}
