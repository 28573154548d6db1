/* Stands in for the libraries of TensorRT while its Python layer is imported to read names and signatures.
   Every factory returns nothing: no builder, parser or runtime can be made with it. */

#define NOTHING(name) void *name(void) { return 0; }
#define ZERO(name) int name(void) { return 0; }

NOTHING(createInferBuilder_INTERNAL)
NOTHING(createInferRefitter_INTERNAL)
NOTHING(createInferRuntime_INTERNAL)
NOTHING(createNvOnnxParser_INTERNAL)
NOTHING(createNvOnnxParserRefitter_INTERNAL)
NOTHING(getBuilderPluginRegistry)
NOTHING(getBuilderSafePluginRegistry)
NOTHING(getLogger)
NOTHING(getPluginRegistry)
ZERO(getInferLibVersion)
ZERO(getNvOnnxParserVersion)
ZERO(initLibNvInferPlugins)
