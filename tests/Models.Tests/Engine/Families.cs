// Small decoders of every family, each with what distinguishes it switched on: windows shorter than the rows, caps that bite,
// rotary frequencies that change within a batch.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Tests.Engine;

internal static class Families
{
    private static readonly Dictionary<string, (string Architecture, string Settings)> All = new()
    {
        ["llama"] = ("llama", "{}"),
        ["llama with biases"] = ("llama", """{"attention_bias":true,"mlp_bias":true,"tie_word_embeddings":true}"""),
        ["llama dynamic"] = ("llama", """{"max_position_embeddings":16,"rope_scaling":{"rope_type":"dynamic","factor":2}}"""),
        ["llama yarn, half of the head turns"] = ("llama", """{"hidden_size":32,"rope_scaling":{"rope_type":"yarn","factor":4,"original_max_position_embeddings":32},"partial_rotary_factor":0.5}"""),
        ["mistral"] = ("mistral", """{"sliding_window":7,"head_dim":10}"""),
        ["qwen2"] = ("qwen2", """{"use_sliding_window":true,"sliding_window":5,"max_window_layers":1}"""),
        ["qwen3"] = ("qwen3", """{"head_dim":8}"""),
        ["gemma"] = ("gemma", """{"head_dim":8,"tie_word_embeddings":true,"attention_bias":true}"""),
        ["stablelm"] = ("stablelm", """{"hidden_size":32,"partial_rotary_factor":0.5,"use_qkv_bias":true}"""),
        ["gemma2"] = ("gemma2", """{"head_dim":8,"query_pre_attn_scalar":12,"sliding_window":6,"attn_logit_softcapping":1.5,"final_logit_softcapping":2}"""),
        ["gemma3"] = ("gemma3_text", """{"num_hidden_layers":3,"head_dim":8,"query_pre_attn_scalar":12,"sliding_window":6,"sliding_window_pattern":2,"rope_local_base_freq":50,"rope_theta":1000,"rope_scaling":{"rope_type":"linear","factor":4},"final_logit_softcapping":2}"""),
        ["gemma3, a scaling by length in layers that see all"] = ("gemma3_text", """{"head_dim":8,"query_pre_attn_scalar":12,"sliding_window":6,"sliding_window_pattern":2,"max_position_embeddings":16,"rope_scaling":{"rope_type":"dynamic","factor":2}}"""),
        ["granite"] = ("granite", """{"attention_bias":true,"mlp_bias":true,"embedding_multiplier":3,"attention_multiplier":0.3,"residual_multiplier":0.6,"logits_scaling":1.7}"""),
        ["olmo2"] = ("olmo2", "{}"),
        ["olmo3"] = ("olmo3", """{"num_hidden_layers":4,"attention_bias":true,"sliding_window":5,"rope_scaling":{"rope_type":"yarn","factor":4,"original_max_position_embeddings":32}}"""),
        ["smollm3"] = ("smollm3", """{"attention_bias":true,"mlp_bias":true,"no_rope_layer_interval":2,"use_sliding_window":true,"sliding_window":5}"""),
        ["phi3"] = ("phi3", """{"sliding_window":9}"""),
        ["phi3 longrope"] = ("phi3", """{"original_max_position_embeddings":16,"rope_scaling":{"type":"longrope","short_factor":[1,1.1,1.3],"long_factor":[1.5,3,6]}}"""),
        ["gpt2"] = ("gpt2", """{"tie_word_embeddings":true}"""),
        ["gpt_neox"] = ("gpt_neox", """{"hidden_size":32}"""),
        ["gpt_neox, one part after the other"] = ("gpt_neox", """{"rotary_pct":1,"use_parallel_residual":false,"attention_bias":false,"hidden_act":"gelu_new","tie_word_embeddings":true}"""),
        ["gpt_neox dynamic"] = ("gpt_neox", """{"hidden_size":32,"rotary_pct":0.5,"max_position_embeddings":16,"rope_scaling":{"rope_type":"dynamic","factor":2}}"""),
        ["opt"] = ("opt", "{}"),
        ["opt, norms behind the sums, a narrow embedding"] = ("opt", """{"do_layer_norm_before":false,"word_embed_proj_dim":10,"activation_function":"gelu"}"""),
        ["opt without biases and weights of norms"] = ("opt", """{"enable_bias":false,"layer_norm_elementwise_affine":false,"_remove_final_layer_norm":true,"tie_word_embeddings":false}"""),
        ["gpt_neo"] = ("gpt_neo", """{"attention_layers":["local","global"],"window_size":4}"""),
        ["phi"] = ("phi", """{"hidden_size":32}"""),
        ["phi, norms of heads"] = ("phi", """{"partial_rotary_factor":0.7,"qk_layernorm":true,"hidden_act":"relu","num_key_value_heads":4}"""),
        ["cohere"] = ("cohere", """{"hidden_size":32,"attention_bias":true,"logit_scale":0.4}"""),
        ["gptj"] = ("gptj", """{"rotary_dim":4}"""),
        ["falcon"] = ("falcon", "{}"),
        ["falcon, key heads in groups"] = ("falcon", """{"new_decoder_architecture":true,"num_kv_heads":2,"bias":true}"""),
        ["falcon, one part after the other"] = ("falcon", """{"multi_query":false,"parallel_attn":false,"bias":true,"tie_word_embeddings":false,"activation":"relu","rope_scaling":{"rope_type":"dynamic","factor":2},"max_position_embeddings":16}"""),
    };

    internal static IReadOnlyCollection<string> Names => All.Keys;

    internal static DecoderSpec Spec(string family) => Tiny.Spec(All[family].Architecture, All[family].Settings);
}
