/**
 * @file Field numbers and encodings of every ONNX message. The reader and the writer know nothing else about ONNX.
 * Source: onnx/onnx-ml.proto (ONNX 1.23, IR version 14). The type of {@link Schema} makes a missing field an error.
 */
import type * as m from "./messages.ts";
import { WIRE } from "./wire.ts";

/**
 * How a field is encoded, and what it is in TypeScript:
 * - `int64` varint, bigint · `size` varint, a number within ±2^53 · `int32` varint, number · `float` 4 bytes, number
 * - `string` UTF-8 text · `bytes` span, never copied · `message` nested
 * - `packed32`, `packed64`, `packedVarint`: repeated scalars kept as their packed payload, never unpacked here
 */
export type FieldKind =
  | "int64"
  | "size"
  | "int32"
  | "float"
  | "string"
  | "bytes"
  | "message"
  | "packed32"
  | "packed64"
  | "packedVarint";

export interface Field {
  readonly number: number;
  readonly kind: FieldKind;
  readonly repeated: boolean;
  readonly schema?: () => Schema<object>;
}

export type Fields<T> = { readonly [K in keyof Required<Omit<T, "unknown">>]: Field };

/** The wire type of each kind. Repeated scalars may come as one span of all instead. */
const WIRE_TYPES: Readonly<Record<FieldKind, number>> = {
  int64: WIRE.varint,
  size: WIRE.varint,
  int32: WIRE.varint,
  float: WIRE.fixed32,
  string: WIRE.bytes,
  bytes: WIRE.bytes,
  message: WIRE.bytes,
  packed32: WIRE.fixed32,
  packed64: WIRE.fixed64,
  packedVarint: WIRE.varint,
};

/** What a field is called and how it starts. */
export interface NamedField extends Field {
  readonly key: string;
  /** How error messages call it: "TensorProto.dims". */
  readonly where: string;
  /** The tag of one element: field number and wire type. */
  readonly tag: number;
  /** The tag that is written: packed fields are one span. */
  readonly writtenTag: number;
  /** A bit of its own among the message's fields. */
  readonly bit: number;
}

/** A message's name, its fields by property name, and the same fields in other orders. */
export interface Schema<T extends object> {
  readonly name: string;
  readonly fields: Fields<T>;
  /** By tag: a field as it is mostly written, found in one step. */
  readonly byTag: readonly (NamedField | undefined)[];
  readonly byNumber: readonly (NamedField | undefined)[];
  readonly byKey: ReadonlyMap<string, NamedField>;
  /** By rising number, as files have them. */
  readonly ordered: readonly NamedField[];
  /** Set where equal messages are read as one frozen object: whether this one may be shared. */
  readonly shared?: (message: object) => boolean;
}

function schema<T extends object>(name: string, fields: Fields<T>): Schema<T> {
  const ordered = (Object.entries(fields) as [string, Field][])
    .sort(([, a], [, b]) => a.number - b.number)
    .map(([key, { number, kind, repeated, schema: of }], index): NamedField => {
      const tag = number * 8 + WIRE_TYPES[kind];
      const writtenTag = kind.startsWith("packed") ? number * 8 + WIRE.bytes : tag;
      return { number, kind, repeated, schema: of, key, where: `${name}.${key}`, tag, writtenTag, bit: 1 << index };
    });
  return {
    name,
    fields,
    byTag: indexed(ordered, ({ tag }) => tag),
    byNumber: indexed(ordered, ({ number }) => number),
    byKey: new Map(ordered.map((field) => [field.key, field])),
    ordered,
  };
}

/** A list without holes. */
function indexed(fields: readonly NamedField[], at: (field: NamedField) => number): (NamedField | undefined)[] {
  const list = new Array<NamedField | undefined>(Math.max(...fields.map(at)) + 1).fill(undefined);
  for (const field of fields) list[at(field)] = field;
  return list;
}

function shared<T extends object>(mayBe: (message: T) => boolean, base: Schema<T>): Schema<T> {
  return { ...base, shared: mayBe as (message: object) => boolean };
}

const one = (number: number, kind: FieldKind): Field => ({ number, kind, repeated: false });
const many = (number: number, kind: FieldKind): Field => ({ number, kind, repeated: true });
const sub = (number: number, of: () => object): Field => ({
  number,
  kind: "message",
  repeated: false,
  schema: of as () => Schema<object>,
});
const subs = (number: number, of: () => object): Field => ({ ...sub(number, of), repeated: true });

const Entry = schema<m.StringStringEntryProto>("StringStringEntryProto", {
  key: one(1, "string"),
  value: one(2, "string"),
});

const OperatorSetId = schema<m.OperatorSetIdProto>("OperatorSetIdProto", {
  domain: one(1, "string"),
  version: one(2, "size"),
});

const Dimension = schema<m.DimensionProto>("TensorShapeProto.Dimension", {
  dimValue: one(1, "size"),
  dimParam: one(2, "string"),
  denotation: one(3, "string"),
});

const TensorShape = schema<m.TensorShapeProto>("TensorShapeProto", { dim: subs(1, () => Dimension) });

const TensorType = schema<m.TensorTypeProto>("TypeProto.Tensor", {
  elemType: one(1, "int32"),
  shape: sub(2, () => TensorShape),
});

const ElementType = schema<m.ElementTypeProto>("TypeProto.Sequence", { elemType: sub(1, () => Type) });

const MapType = schema<m.MapTypeProto>("TypeProto.Map", { keyType: one(1, "int32"), valueType: sub(2, () => Type) });

const OpaqueType = schema<m.OpaqueTypeProto>("TypeProto.Opaque", {
  domain: one(1, "string"),
  name: one(2, "string"),
});

const Type: Schema<m.TypeProto> = shared(
  () => true,
  schema<m.TypeProto>("TypeProto", {
    tensorType: sub(1, () => TensorType),
    sequenceType: sub(4, () => ElementType),
    mapType: sub(5, () => MapType),
    optionalType: sub(9, () => ElementType),
    sparseTensorType: sub(8, () => TensorType),
    opaqueType: sub(7, () => OpaqueType),
    denotation: one(6, "string"),
  }),
);

const ValueInfo = schema<m.ValueInfoProto>("ValueInfoProto", {
  name: one(1, "string"),
  type: sub(2, () => Type),
  docString: one(3, "string"),
  metadataProps: subs(4, () => Entry),
});

const Segment = schema<m.SegmentProto>("TensorProto.Segment", { begin: one(1, "int64"), end: one(2, "int64") });

export const TensorSchema = schema<m.TensorProto>("TensorProto", {
  dims: many(1, "size"),
  dataType: one(2, "int32"),
  segment: sub(3, () => Segment),
  floatData: many(4, "packed32"),
  int32Data: many(5, "packedVarint"),
  stringData: many(6, "bytes"),
  int64Data: many(7, "packedVarint"),
  name: one(8, "string"),
  docString: one(12, "string"),
  rawData: one(9, "bytes"),
  externalData: subs(13, () => Entry),
  dataLocation: one(14, "int32"),
  doubleData: many(10, "packed64"),
  uint64Data: many(11, "packedVarint"),
  metadataProps: subs(16, () => Entry),
});

export const SparseTensorSchema = schema<m.SparseTensorProto>("SparseTensorProto", {
  values: sub(1, () => TensorSchema),
  indices: sub(2, () => TensorSchema),
  dims: many(3, "size"),
});

/** Tensors and graphs are things of their own; all other attributes are plain values. */
const isPlain = ({ t, g, tensors, graphs, sparseTensor, sparseTensors }: m.AttributeProto): boolean =>
  (t ?? g ?? tensors ?? graphs ?? sparseTensor ?? sparseTensors) === undefined;

const Attribute = shared(
  isPlain,
  schema<m.AttributeProto>("AttributeProto", {
    name: one(1, "string"),
    refAttrName: one(21, "string"),
    docString: one(13, "string"),
    type: one(20, "int32"),
    f: one(2, "float"),
    i: one(3, "int64"),
    s: one(4, "bytes"),
    t: sub(5, () => TensorSchema),
    g: sub(6, () => GraphSchema),
    sparseTensor: sub(22, () => SparseTensorSchema),
    tp: sub(14, () => Type),
    floats: many(7, "float"),
    ints: many(8, "int64"),
    strings: many(9, "bytes"),
    tensors: subs(10, () => TensorSchema),
    graphs: subs(11, () => GraphSchema),
    sparseTensors: subs(23, () => SparseTensorSchema),
    typeProtos: subs(15, () => Type),
  }),
);

const IntIntListEntry = schema<m.IntIntListEntryProto>("IntIntListEntryProto", {
  key: one(1, "int64"),
  value: many(2, "int64"),
});

const SimpleShardedDim = schema<m.SimpleShardedDimProto>("SimpleShardedDimProto", {
  dimValue: one(1, "int64"),
  dimParam: one(2, "string"),
  numShards: one(3, "int64"),
});

const ShardedDim = schema<m.ShardedDimProto>("ShardedDimProto", {
  axis: one(1, "int64"),
  simpleSharding: subs(2, () => SimpleShardedDim),
});

const ShardingSpec = schema<m.ShardingSpecProto>("ShardingSpecProto", {
  tensorName: one(1, "string"),
  device: many(2, "int64"),
  indexToDeviceGroupMap: subs(3, () => IntIntListEntry),
  shardedDim: subs(4, () => ShardedDim),
});

const NodeDeviceConfiguration = schema<m.NodeDeviceConfigurationProto>("NodeDeviceConfigurationProto", {
  configurationId: one(1, "string"),
  shardingSpec: subs(2, () => ShardingSpec),
  pipelineStage: one(3, "int32"),
});

const Node = schema<m.NodeProto>("NodeProto", {
  input: many(1, "string"),
  output: many(2, "string"),
  name: one(3, "string"),
  opType: one(4, "string"),
  domain: one(7, "string"),
  overload: one(8, "string"),
  attribute: subs(5, () => Attribute),
  docString: one(6, "string"),
  metadataProps: subs(9, () => Entry),
  deviceConfigurations: subs(10, () => NodeDeviceConfiguration),
});

const Annotation = schema<m.TensorAnnotation>("TensorAnnotation", {
  tensorName: one(1, "string"),
  quantParameterTensorNames: subs(2, () => Entry),
});

export const GraphSchema: Schema<m.GraphProto> = schema<m.GraphProto>("GraphProto", {
  node: subs(1, () => Node),
  name: one(2, "string"),
  initializer: subs(5, () => TensorSchema),
  sparseInitializer: subs(15, () => SparseTensorSchema),
  docString: one(10, "string"),
  input: subs(11, () => ValueInfo),
  output: subs(12, () => ValueInfo),
  valueInfo: subs(13, () => ValueInfo),
  quantizationAnnotation: subs(14, () => Annotation),
  metadataProps: subs(16, () => Entry),
});

const FunctionSchema = schema<m.FunctionProto>("FunctionProto", {
  name: one(1, "string"),
  input: many(4, "string"),
  output: many(5, "string"),
  attribute: many(6, "string"),
  attributeProto: subs(11, () => Attribute),
  node: subs(7, () => Node),
  docString: one(8, "string"),
  opsetImport: subs(9, () => OperatorSetId),
  domain: one(10, "string"),
  overload: one(13, "string"),
  valueInfo: subs(12, () => ValueInfo),
  metadataProps: subs(14, () => Entry),
});

const TrainingInfo = schema<m.TrainingInfoProto>("TrainingInfoProto", {
  initialization: sub(1, () => GraphSchema),
  algorithm: sub(2, () => GraphSchema),
  initializationBinding: subs(3, () => Entry),
  updateBinding: subs(4, () => Entry),
});

const DeviceConfiguration = schema<m.DeviceConfigurationProto>("DeviceConfigurationProto", {
  name: one(1, "string"),
  numDevices: one(2, "int32"),
  device: many(3, "string"),
});

export const ModelSchema = schema<m.ModelProto>("ModelProto", {
  irVersion: one(1, "size"),
  opsetImport: subs(8, () => OperatorSetId),
  producerName: one(2, "string"),
  producerVersion: one(3, "string"),
  domain: one(4, "string"),
  modelVersion: one(5, "int64"),
  docString: one(6, "string"),
  graph: sub(7, () => GraphSchema),
  metadataProps: subs(14, () => Entry),
  trainingInfo: subs(20, () => TrainingInfo),
  functions: subs(25, () => FunctionSchema),
  configuration: subs(26, () => DeviceConfiguration),
});
