// What a class of the `transformers` library sets of a tokenizer.json: the classes of byte-level BPE take ByteLevel's
// add_prefix_space from tokenizer_config.json, BERT's the switches of its normalizer, each with the class' default where nothing
// is said there, whatever tokenizer.json says. Which class it is goes by AutoTokenizer of transformers 5.
using PeftAlign.Models.Text.Normalizers;
using PeftAlign.Models.Text.PostProcessors;
using PeftAlign.Models.Text.PreTokenizers;

namespace PeftAlign.Models.Text.Files;

/// <summary>Applies a class to the parts that tokenizer.json gives.</summary>
internal static class TokenizerClass
{
    private const string Roberta = "RobertaTokenizer", Blenderbot = "BlenderbotTokenizer", Qwen2 = "Qwen2Tokenizer", Qwen35 = "Qwen3_5Tokenizer";

    private static readonly HashSet<string> ByteLevel =
    [
        "BartTokenizer", Blenderbot, "CodeGenTokenizer", "DebertaTokenizer", "GPT2Tokenizer", "GPTNeoXTokenizer", "LEDTokenizer",
        "LongformerTokenizer", "MvpTokenizer", Qwen2, Qwen35, Roberta, "WhisperTokenizer",
    ];

    private static readonly HashSet<string> Bert =
        ["BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "FunnelTokenizer", "LxmertTokenizer", "MobileBertTokenizer", "MPNetTokenizer"];

    // Model types whose tokenizer.json is taken as it is, whatever class a file names.
    private static readonly HashSet<string> AsWritten = [.. ("EvollaModel arctic aria beam bigbird_pegasus camembertv2-base canary chatlm cohere_asr "
        + "ernie4_5 ernie4_5_moe flex_olmo fuyu glm glm4 glm4_moe glm4_moe_lite glm4v glm4v_moe glm_image glmasr got_ocr2 gpt_bigcode "
        + "gradium_phonon_tts granite granitemoe granitemoehybrid granitemoeshared h2ovl_chat hyperclovax hyperclovax_vlm internlm2 internlm3 "
        + "iquestcoder jamba kimi_k25 kimi_linear kosmos-2 llava llava_next mimo_v2_flash minicpm3 minicpm_ocr minicpmv minicpmv4_6 minicpmv4_7 "
        + "minimax_m2 ministral ministral3 mistral mistral3 mistral_large4 mixtral modernbert modernbert-decoder molmo molmo2 nemo_speechlm "
        + "nemotron nvfp4 nystromformer olmo2 olmo3 olmo_hybrid opencua openvla paddleocr_vl pegasus_x persimmon phi3 phi3_v phimoe pix2struct "
        + "pixtral pocket_tts smolvlm stablelm step3_vl umt5 vipllava voxtral voxtral_realtime xlm-roberta-xl").Split(' ')];

    // Of these the class that a file names is known to be wrong.
    private static readonly Dictionary<string, string> Corrected = new()
    {
        ["qwen2"] = Qwen2,
        ["qwen3_5"] = Qwen35,
        ["qwen3_5_moe"] = Qwen35,
        ["qwen3_5_moe_text"] = Qwen35,
        ["qwen4_exp"] = Qwen35,
    };

    // The class where no file names one. gpt-sw3 has GPT-2's configuration, by which the class is looked up; types that are registered
    // but have no configuration any more (mega, nezha, realm ...) are read as written.
    private static readonly (string Class, string[] ModelTypes)[] Registered =
    [
        ("GPT2Tokenizer", Types("blip-2 codegen dbrx emu3 gpt-sw3 gpt2 gpt_neo gptj hyperclovax_vision_v2 instructblip instructblipvideo jais2 opt phi starcoder2")),
        ("GPTNeoXTokenizer", Types("falcon_mamba gpt_neox mamba mamba2 mpt olmo olmoe rwkv xlstm")),
        (Qwen2, Types("audioflamingo3 colqwen2 cosmos3_omni dots3_note fun_asr_nano hunyuan_vl internvl lighton_ocr moss_transcribe_diarize ovis2 "
            + "qianfan_ocr qwen2_5_omni qwen2_5_vl qwen2_audio qwen2_moe qwen2_vl qwen3 qwen3_asr qwen3_moe qwen3_next qwen3_omni_moe qwen3_vl "
            + "qwen3_vl_moe vibevoice")),
        (Qwen35, ["qwen3_5_text"]),
        // BART's, LED's and MVP's classes are names of RoBERTa's.
        (Roberta, Types("bart bridgetower clap data2vec-text florence2 ibert led lilt longformer mra mvp roberta roberta-prelayernorm")),
        (Blenderbot, ["blenderbot"]), ("DebertaTokenizer", ["deberta"]), ("WhisperTokenizer", ["whisper"]),
        ("BertTokenizer", Types("align bark bert blip bros chinese_clip convbert distilbert electra ernie flava git grounding-dino layoutlm "
            + "megatron-bert mm-grounding-dino nomic_bert squeezebert tvp vilt visual_bert")),
        ("FunnelTokenizer", ["funnel"]), ("LxmertTokenizer", ["lxmert"]), ("MPNetTokenizer", ["mpnet"]), ("MobileBertTokenizer", ["mobilebert"]),
    ];

    private static string[] Types(string names) => names.Split(' ');

    /// <summary>The parts as the folder's class has them.</summary>
    public static TokenizerParts Apply(TokenizerParts parts, TokenizerConfig config, string folder)
    {
        var name = Name(config, folder);
        if (Bert.Contains(name)) return parts with { Normalizer = With(parts.Normalizer, config) };
        if (!ByteLevel.Contains(name)) return parts;
        var space = config.AddPrefixSpace ?? name == Blenderbot;
        return parts with
        {
            PreTokenizer = With(parts.PreTokenizer, space),
            PostProcessor = name == Roberta ? With(parts.PostProcessor, space) : parts.PostProcessor,
        };
    }

    /// <summary>The folder's class without "Fast"; empty where none is known, or where the files are taken as they are.</summary>
    public static string Name(TokenizerConfig config, string folder)
    {
        var (said, (type, also)) = (config.ClassName, Said(Path.Combine(folder, "config.json")));
        if (type is not null && Corrected.TryGetValue(type, out var right)) return right;
        if (type is not null && AsWritten.Contains(type)) return "";
        said ??= also ?? Registered.FirstOrDefault(row => row.ModelTypes.Contains(type)).Class ?? "";
        return said.EndsWith("Fast", StringComparison.Ordinal) ? said[..^4] : said;
    }

    // What is wrong with a model's configuration is told by what reads the model.
    private static (string? ModelType, string? Class) Said(string config)
    {
        if (!File.Exists(config)) return (null, null);
        try
        {
            var root = JsonField.Read(config, out var document);
            using (document) return (root.Find("model_type")?.Text(), root.Find("tokenizer_class")?.Text());
        }
        catch (TokenizerException)
        {
            return (null, null);
        }
    }

    private static Normalizer? With(Normalizer? step, TokenizerConfig config) => step switch
    {
        BertNormalizer => new BertNormalizer(
            cleanText: true, config.SplitsChinese ?? true, config.StripAccents ?? config.Lowercase ?? true, config.Lowercase ?? true),
        SequenceNormalizer sequence => new SequenceNormalizer([.. sequence.Steps.Select(inner => With(inner, config)!)]),
        _ => step,
    };

    private static PreTokenizer? With(PreTokenizer? step, bool space) => step switch
    {
        ByteLevelPreTokenizer bytes => new ByteLevelPreTokenizer(space, bytes.UseRegex),
        SequencePreTokenizer sequence => new SequencePreTokenizer([.. sequence.Steps.Select(inner => With(inner, space)!)]),
        _ => step,
    };

    private static PostProcessor? With(PostProcessor? step, bool space) => step switch
    {
        ByteLevelPostProcessor bytes => bytes.WithPrefix(space),
        SequencePostProcessor sequence => new SequencePostProcessor([.. sequence.Steps.Select(inner => With(inner, space)!)]),
        _ => step,
    };
}
