"""Every image backbone of keras-hub, tiny and with random weights, with the number of its blocks and layers."""

SIZE = (32, 32)
SHAPE = (*SIZE, 3)
ENCODER = dict(patch_size=8, num_layers=4, hidden_dim=16, num_heads=2, intermediate_dim=32, image_shape=SHAPE)
# Class: (arguments, blocks, layers). A transformer's layers are its encoder's and the embedding of patches.
NETWORKS = {
    "CLIPVisionEncoder": (ENCODER, 4, 5),
    "DINOV2Backbone": ({**ENCODER, "position_embedding_shape": (64, 64, 3), "num_register_tokens": 3}, 4, 5),
    "DINOV3Backbone": (ENCODER, 4, 5),
    "DeiTBackbone": (ENCODER, 4, 5),
    "MetaCLIP2VisionEncoder": (ENCODER, 4, 5),
    "SigLIPVisionEncoder": (ENCODER, 4, 5),
    "ViTBackbone": (
        dict(patch_size=8, num_layers=6, hidden_dim=16, num_heads=2, mlp_dim=32, use_patch_bias=False)
        | {"image_shape": SHAPE},
        4,
        7,
    ),
    "SwinTransformerBackbone": (
        dict(patch_size=2, embed_dim=8, depths=[1, 2, 1], num_heads=[1, 2, 2], window_size=4, qkv_bias=False)
        | {"image_shape": SHAPE},
        3,
        7,
    ),
    "MiTBackbone": (
        dict(layerwise_depths=[2, 1], num_layers=2, layerwise_num_heads=[1, 2], layerwise_sr_ratios=[2, 1])
        | dict(max_drop_path_rate=0.1, layerwise_patch_sizes=[7, 3], layerwise_strides=[4, 2], hidden_dims=[8, 16])
        | {"image_shape": SHAPE},
        2,
        5,
    ),
    # Its tokens keep rows and columns, in one resolution.
    "ViTDetBackbone": (
        dict(hidden_size=16, num_layers=4, intermediate_dim=32, num_heads=2, global_attention_layer_indices=[1, 3])
        | dict(patch_size=8, num_output_channels=8, window_size=2, image_shape=SHAPE),
        1,
        8,
    ),
    "CSPNetBackbone": (
        dict(stem_filters=8, stem_kernel_size=3, stem_strides=1, stackwise_depth=[1, 1], stackwise_strides=[2, 2])
        | dict(stackwise_num_filters=[16, 32], block_type="dark_block", stage_type="dark", stem_padding="same")
        | {"image_shape": SHAPE},
        3,
        5,
    ),
    "DenseNetBackbone": (
        dict(stackwise_num_repeats=[2, 2, 2], compression_ratio=0.5, growth_rate=8, image_shape=SHAPE),
        4,
        9,
    ),
    "EfficientNetBackbone": (
        dict(stackwise_kernel_sizes=[3, 3], stackwise_num_repeats=[2, 2], stackwise_input_filters=[8, 8])
        | dict(stackwise_output_filters=[8, 16], stackwise_expansion_ratios=[1, 4], width_coefficient=1.0)
        | dict(stackwise_squeeze_and_excite_ratios=[0.25, 0.25], stackwise_strides=[1, 2], depth_coefficient=1.0)
        | dict(stackwise_block_types=["v1", "v1"], image_shape=SHAPE),
        2,
        9,
    ),
    "MobileNetBackbone": (
        dict(stackwise_expansion=[[8], [8, 8]], stackwise_num_blocks=[1, 2], stackwise_num_filters=[[8], [8, 16]])
        | dict(stackwise_kernel_size=[[3], [3, 3]], stackwise_num_strides=[[2], [2, 1]], output_num_filters=16)
        | dict(stackwise_se_ratio=[[0.25], [None, 0.25]], stackwise_activation=[["relu"], ["relu", "relu"]])
        | dict(stackwise_padding=[[1], [1, 1]], depthwise_filters=8, depthwise_stride=1, depthwise_residual=False)
        | dict(last_layer_filter=16, image_shape=SHAPE),
        3,
        6,
    ),
    "MobileNetV5Backbone": (
        dict(
            stackwise_block_types=[["er"], ["uir", "mqa"]], stackwise_num_blocks=[1, 2], stackwise_strides=[[2], [2, 1]]
        )
        | dict(stackwise_num_filters=[[8], [16, 16]], stackwise_act_layers=[["relu"], ["relu", "relu"]])
        | dict(stackwise_exp_ratios=[[2], [2, 1]], stackwise_se_ratios=[[0.0], [0.0, 0.0]])
        | dict(stackwise_dw_kernel_sizes=[[0], [3, 0]], stackwise_dw_start_kernel_sizes=[[0], [3, 0]])
        | dict(stackwise_dw_end_kernel_sizes=[[0], [0, 0]], stackwise_exp_kernel_sizes=[[3], [0, 0]])
        | dict(stackwise_pw_kernel_sizes=[[1], [0, 0]], stackwise_num_heads=[[0], [0, 2]], use_msfa=False)
        | dict(stackwise_key_dims=[[0], [0, 8]], stackwise_value_dims=[[0], [0, 8]], stackwise_kv_strides=[[0], [0, 1]])
        | dict(stackwise_use_cpe=[[False], [False, False]], image_shape=SHAPE),
        3,
        8,
    ),
    "ResNetBackbone": (
        dict(input_conv_filters=[64], input_conv_kernel_sizes=[3], stackwise_num_filters=[64, 64])
        | dict(stackwise_num_blocks=[2, 2], stackwise_num_strides=[1, 2], block_type="basic_block", image_shape=SHAPE),
        3,
        5,
    ),
    "VGGBackbone": (
        dict(stackwise_num_repeats=[1, 1, 1], stackwise_num_filters=[4, 8, 8], image_shape=SHAPE),
        3,
        3,
    ),
    "XceptionBackbone": (
        dict(stackwise_conv_filters=[[8, 8], [16, 16], [16, 16]], stackwise_pooling=[False, True, False])
        | {"image_shape": (72, 72, 3)},
        2,
        5,
    ),
}
# Keras cannot save its stages.
HGNETV2 = (
    dict(depths=[1, 2], embedding_size=8, hidden_sizes=[8, 16], stem_channels=[3, 4, 8], hidden_act="relu")
    | dict(use_learnable_affine_block=True, apply_downsample=[False, True], image_shape=SHAPE)
    | dict(stackwise_stage_filters=[[8, 4, 8, 1, 3, 3], [8, 4, 16, 2, 3, 3]])
    | dict(use_lightweight_conv_block=[False, False])
)
# What has another input or output than images and one map, tokens or vector.
OTHERS = {
    "BASNetBackbone": "segmentation masks",
    "BLIP2Backbone": "images and text",
    "CLIPBackbone": "images and text",
    "DFineBackbone": "object detection",
    "DeepLabV3Backbone": "segmentation",
    "DepthAnythingBackbone": "depth maps",
    "FeaturePyramidBackbone": "feature pyramids",
    "FluxBackbone": "image generation",
    "Gemma3Backbone": "images and text",
    "Gemma3nBackbone": "images and text",
    "Gemma4Backbone": "images and text",
    "MetaCLIP2Backbone": "images and text",
    "PARSeqBackbone": "text recognition",
    "PaliGemmaBackbone": "images and text",
    "RetinaNetBackbone": "object detection",
    "SAMBackbone": "images and prompts",
    "SAM3PromptableConceptBackbone": "images and prompts",
    "SegFormerBackbone": "segmentation",
    "SigLIPBackbone": "images and text",
    "StableDiffusion3Backbone": "image generation",
    "VideoPrismBackbone": "video",
}
