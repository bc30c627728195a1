//! Where a policy comes from.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use crate::policy::{
    CompiledPolicy, PolicyError, PolicyErrors, PolicyOptions,
    document::{self, file},
    model::{Document, Origin, SourceText},
};

/// What one edition is told from another by.
pub(super) type Mark = [u8; 32];

/// A policy, and what it was made of.
pub(super) struct Loaded {
    pub(super) policy: CompiledPolicy,
    pub(super) mark: Mark,
    /// The files, where they are known.
    files: Vec<Place>,
}

/// Where a policy comes from. May block.
pub(super) trait Source: Send + Sync + 'static {
    fn load(&self) -> Result<Loaded, PolicyErrors>;

    /// Whether it is certain, and quickly told, that [`load`](Self::load) would give what is known.
    fn holds(&self, _known: &Loaded) -> bool {
        false
    }
}

/// From a function.
pub(super) struct Made<F>(pub(super) F);

impl<F> Source for Made<F>
where
    F: Fn() -> Result<CompiledPolicy, PolicyErrors> + Send + Sync + 'static,
{
    fn load(&self) -> Result<Loaded, PolicyErrors> {
        let policy = (self.0)()?;
        Ok(Loaded {
            mark: mark_of(&policy),
            files: Vec::new(),
            policy,
        })
    }
}

/// By everything that decides.
fn mark_of(policy: &CompiledPolicy) -> Mark {
    let document = policy.document();
    let decides = (
        (&document.name, &document.version, &document.rules),
        (&document.operations, &document.attributes, &document.cedar),
        (&document.time_zone, &document.paths, &document.otherwise),
    );
    Sha256::digest(format!("{decides:?}")).into()
}

/// From a file, and those that it names.
pub(super) struct Files {
    main: PathBuf,
    options: PolicyOptions,
}

/// How often files are read until they stand still.
const MOST_READINGS: usize = 4;

impl Files {
    pub(super) fn new(main: &Path, options: &PolicyOptions) -> Self {
        Self {
            main: main.to_owned(),
            options: options.clone(),
        }
    }

    /// What the files say, and what each of them held.
    fn read(&self) -> Result<(Result<Document, PolicyErrors>, Vec<Text>), PolicyErrors> {
        let file: Arc<str> = self.main.to_string_lossy().into();
        let text = Place::Main.read(&self.main).map_err(|why| {
            let origin = Origin {
                file: Arc::clone(&file),
                ..Origin::default()
            };
            PolicyError::new(&origin, why)
        })?;
        let texts = RefCell::new(vec![(Place::Main, Arc::clone(&text))]);
        let others = |name: &str| {
            let place = Place::Beside(name.into());
            let text = place.read(&self.main)?;
            texts.borrow_mut().push((place, Arc::clone(&text)));
            Ok(text)
        };
        let document = document::parse(&SourceText { file, text }, &others, &self.options);
        Ok((document, texts.into_inner()))
    }
}

impl Files {
    /// What lay there at one moment: two readings that agree had one between them, unless what was
    /// replaced has come back in between.
    pub(super) fn stand(&self) -> Result<(Document, Vec<Text>), PolicyErrors> {
        for _ in 0..MOST_READINGS {
            let (document, texts) = self.read()?;
            let stands = |(place, text): &Text| place.read(&self.main).as_ref() == Ok(text);
            if texts.iter().all(stands) {
                return Ok((document?, texts));
            }
        }
        Err(super::failed("the files change while they are read"))
    }
}

impl Source for Files {
    fn load(&self) -> Result<Loaded, PolicyErrors> {
        let (document, texts) = self.stand()?;
        Ok(Loaded {
            policy: CompiledPolicy::compile(document, &self.options)?,
            mark: digest(texts.iter().map(|(_, text)| &**text)),
            files: texts.into_iter().map(|(place, _)| place).collect(),
        })
    }

    fn holds(&self, known: &Loaded) -> bool {
        let texts: Result<Vec<_>, _> = known
            .files
            .iter()
            .map(|place| place.read(&self.main))
            .collect();
        texts.is_ok_and(|texts| digest(texts.iter().map(|text| &**text)) == known.mark)
    }
}

/// A file, and what it held.
pub(super) type Text = (Place, Arc<str>);

/// Which file.
pub(super) enum Place {
    Main,
    /// In the folder of the main one, or below it.
    Beside(Arc<str>),
}

impl Place {
    fn read(&self, main: &Path) -> Result<Arc<str>, String> {
        let text = match self {
            Self::Main => file::text_of(main),
            Self::Beside(name) => file::text_inside(&file::folder_of(main), name),
        };
        text.map_err(|error| match self {
            Self::Main => format!("cannot be read: {error}"),
            Self::Beside(name) => format!("`{name}` cannot be read: {error}"),
        })
    }
}

fn digest<'a>(texts: impl Iterator<Item = &'a str>) -> Mark {
    let mut all = Sha256::new();
    for text in texts {
        all.update(Sha256::digest(text));
    }
    all.finalize().into()
}
