from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedModulesStorage(CompressedManifestStaticFilesStorage):
    """Hashed names, also inside the import statements of ES modules, so that no stale module is served."""

    support_js_module_import_aggregation = True
    manifest_strict = False
