//! Lists of certificates put together at random: nobody gets in whom webpki keeps out, or whom another
//! trust domain vouches for.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

struct Pool {
    /// Each with the one trust domain that may let it in as a leaf.
    all: Vec<(CertificateDer<'static>, Option<&'static str>)>,
    trusts: Vec<(Trust, Vec<&'static str>)>,
}

static POOL: LazyLock<Pool> = LazyLock::new(|| {
    let (shop, bank, impostor) = (shop(), bank(), shop());
    let mut all = Vec::new();
    for (ca, domain) in [(&shop, Some("shop.example")), (&bank, Some("bank.example"))] {
        let below = ca.intermediate("below");
        let deep = below.intermediate("deep");
        let mut foreign = ca_params("foreign");
        foreign.subject_alt_names = uris(&["spiffe://third.example"]);
        let foreign = ca.intermediate_with(foreign);
        let mut silent = ca_params("silent");
        silent.key_usages.clear();
        let silent = ca.intermediate_with(silent);
        all.push((ca.root().clone(), None));
        for (ca, vouched) in [
            (ca, domain),
            (&below, domain),
            (&deep, domain),
            (&foreign, None),
            (&silent, None),
        ] {
            let mut issued = ca.workload("/orders");
            all.push((issued.chain.remove(0), vouched));
            all.extend(issued.chain.into_iter().map(|der| (der, None)));
            // Each CA signs for the other domain too.
            let mut params = svid_params("spiffe://shop.example/forged");
            if domain == Some("shop.example") {
                params = svid_params("spiffe://bank.example/forged");
            }
            all.push((ca.issue(params).chain.remove(0), None));
            let purpose = with(ca, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            });
            all.push((purpose.chain[0].clone(), None));
        }
    }
    all.push((impostor.workload("/orders").chain[0].clone(), None));
    all.push((impostor.root().clone(), None));
    all.push((CertificateDer::from(vec![0x30, 0]), None));
    let span = DAY * 20;
    let lists = [
        shop.revocation_list(&[], now(), span),
        bank.revocation_list(&[], now(), span),
    ];
    let trusts = vec![
        (trust([&shop]), vec!["shop.example"]),
        (trust([&shop, &bank]), vec!["shop.example", "bank.example"]),
        (
            trust([&shop, &bank]).revocation_lists(lists).unwrap(),
            vec!["shop.example", "bank.example"],
        ),
    ];
    Pool { all, trusts }
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn nobody_gets_in_whom_webpki_or_the_trust_domain_keeps_out(
        leaf in 0_usize..1000,
        others in prop::collection::vec(0_usize..1000, 0..6),
        which in 0_usize..3,
        server in any::<bool>(),
    ) {
        let pool = &*POOL;
        let pick = |place: usize| &pool.all[place % pool.all.len()];
        let (trust, domains) = &pool.trusts[which];
        let (leaf, vouched) = pick(leaf);
        let mut chain = vec![leaf.clone()];
        chain.extend(others.iter().map(|place| pick(*place).0.clone()));
        let end = if server { End::Server } else { End::Client };
        if let Ok(found) = judge_at(trust, end, &chain, now()) {
            let domain = found.id.unwrap().trust_domain();
            prop_assert_eq!(Some(domain.as_str()), *vouched);
            prop_assert!(domains.contains(&domain.as_str()));
        }
    }
}

/// The test above lets somebody in, too.
#[test]
fn the_pool_has_chains_that_are_good() {
    let pool = &*POOL;
    let all: Vec<_> = pool.all.iter().map(|(der, _)| der.clone()).collect();
    let good = pool.all.iter().filter(|(leaf, _)| {
        let beside = all.iter().filter(|der| {
            crate::svid::Authority::read(der).is_ok() && !pool_roots(pool).contains(der)
        });
        let chain: Vec<_> = std::iter::once(leaf).chain(beside).cloned().collect();
        judge(&pool.trusts[1].0, &chain[..chain.len().min(MAX_CHAIN)]).is_ok()
    });
    assert!(good.count() >= 2);
}

fn pool_roots(pool: &Pool) -> Vec<&CertificateDer<'static>> {
    let root = |place: usize| &pool.all[place].0;
    vec![root(0), root(pool.all.len() - 2)]
}
