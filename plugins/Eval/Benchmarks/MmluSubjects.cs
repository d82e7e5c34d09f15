// The 57 subjects of MMLU with their categories, as lm-evaluation-harness groups them (anatomy counts as STEM there).

namespace PeftAlign.Eval.Benchmarks;

internal static class MmluSubjects
{
    private const string Stem = "abstract_algebra anatomy astronomy college_biology college_chemistry college_computer_science college_mathematics college_physics computer_security conceptual_physics electrical_engineering elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science high_school_mathematics high_school_physics high_school_statistics machine_learning";
    private const string Humanities = "formal_logic high_school_european_history high_school_us_history high_school_world_history international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory professional_law world_religions";
    private const string SocialSciences = "econometrics high_school_geography high_school_government_and_politics high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality professional_psychology public_relations security_studies sociology us_foreign_policy";
    private const string Other = "business_ethics clinical_knowledge college_medicine global_facts human_aging management marketing medical_genetics miscellaneous nutrition professional_accounting professional_medicine virology";

    /// <summary>Category by subject, subjects in alphabetical order.</summary>
    internal static IReadOnlyDictionary<string, string> All { get; } =
        new (string Name, string Subjects)[] { ("stem", Stem), ("humanities", Humanities), ("social_sciences", SocialSciences), ("other", Other) }
            .SelectMany(c => c.Subjects.Split(' ').Select(s => (Subject: s, c.Name))).OrderBy(s => s.Subject, StringComparer.Ordinal).ToDictionary(s => s.Subject, s => s.Name);
}
