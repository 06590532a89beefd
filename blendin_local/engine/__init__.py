"""The only importer of llama_cpp: loading, vocabularies, contexts, chat templates and their failures."""
