// What the plugin calls.
extern "C" int sample_answer(int question) { return question + 1; }
