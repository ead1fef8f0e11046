"""An HTTP service with the form of OpenAI's `/v1/embeddings`; needs the extra `serve`."""
