// Names of the files that make a checkpoint.

/** Files of a repository or folder that a checkpoint, a tokenizer or an adapter needs. */
export function isWantedFile(path: string): boolean {
  return /^((generation_|tokenizer_|adapter_)?config\.json|tokenizer\.json|special_tokens_map\.json|chat_template\.(jinja|json)|additional_chat_templates\/[\w.-]+\.jinja|(model|adapter_model)[\w.-]*\.safetensors(\.index\.json)?)$/.test(
    path,
  );
}
