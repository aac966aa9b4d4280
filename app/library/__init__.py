"""Models on this disk and on the hub.

`library` lists what is installed, from headers (`gguf`) that are read without trusting the files, and knows what each is called
(`model_names`, `catalogue`); `hub` lists what a repository holds; `downloads` brings it here, whole or not at all. Nothing here
loads a model.
"""
