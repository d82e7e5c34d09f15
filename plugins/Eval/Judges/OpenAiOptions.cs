// Options of the judge that asks a service.

using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Judges;

/// <summary>Options of openai: any service that speaks OpenAI's chat completions.</summary>
[ContractTraits(JudgeTraits.Speaks)]
public sealed class OpenAiOptions
{
    /// <summary>The service's address, without /chat/completions.</summary>
    public string Url { get; set; } = "https://api.openai.com/v1";

    /// <summary>The service's name of the model.</summary>
    [OptionRequired]
    public string Model { get; set; } = "";

    /// <summary>The environment variable that holds the key; empty for none.</summary>
    [OptionRecorded]
    public string KeyEnv { get; set; } = "OPENAI_API_KEY";

    /// <summary>Temperature of its replies.</summary>
    [OptionRange(0, 2)]
    public double Temperature { get; set; }

    /// <summary>Most tokens of a reply.</summary>
    [OptionRange(1)]
    public int MaxTokens { get; set; } = 256;

    /// <summary>Compares by the probabilities of the first token instead of the word, where the service gives them.</summary>
    public bool Logprobs { get; set; }

    /// <summary>Text with {prompt}, {first} and {second} in place of ours.</summary>
    public string CompareTemplate { get; set; } = "";

    /// <summary>Text with {prompt} and {response} in place of ours.</summary>
    public string RateTemplate { get; set; } = "";

    /// <summary>How often a question is tried, the first time included.</summary>
    [OptionRecorded]
    [OptionRange(1, 20)]
    public int Attempts { get; set; } = 6;

    /// <summary>Seconds before the second try; doubled with each, unless the service says how long.</summary>
    [OptionRecorded]
    [OptionRange(0)]
    public double RetryDelay { get; set; } = 1;

    /// <summary>Seconds that a reply may take.</summary>
    [OptionRecorded]
    [OptionRange(0.05)]
    public double Timeout { get; set; } = 120;

    /// <summary>Most requests a minute; 0 = no limit.</summary>
    [OptionRecorded]
    [OptionRange(0)]
    public int RequestsPerMinute { get; set; }

    /// <summary>Requests at once.</summary>
    [OptionRecorded]
    [OptionRange(1, 256)]
    public int Concurrency { get; set; } = 4;

    /// <summary>Price of a million tokens of prompts.</summary>
    [OptionRecorded]
    [OptionRange(0)]
    public double PromptPrice { get; set; }

    /// <summary>Price of a million tokens of replies.</summary>
    [OptionRecorded]
    [OptionRange(0)]
    public double CompletionPrice { get; set; }

    /// <summary>Folder of the transcript: a file for each question with request and reply, by the request's hash. What is there is not
    /// asked again. Empty: peftalign/judges in the user's cache.</summary>
    [OptionRecorded]
    public string Transcript { get; set; } = "";

    /// <summary>Answer from the transcript alone; a question that it lacks is a failure.</summary>
    [OptionRecorded]
    public bool Offline { get; set; }
}
