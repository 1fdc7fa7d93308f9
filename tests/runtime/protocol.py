"""Messages between the Functions host and a worker, as far as the app meets them: real protobuf messages.

The names and numbers are those of FunctionRpc.proto in Azure/azure-functions-language-worker-protobuf. The engine takes
a module of generated messages; this one makes them from the table below, so that no compiler is needed. As on the wire,
a value of the wrong type is an error: a header that is no text, a status that is a number.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "AzureFunctionsRpcMessages"
# "TYPE NAME = NUMBER"; "|" marks a member of the message's one group of alternatives, which comes first.
_MESSAGES = {
    "WorkerInitRequest": ["string host_version = 1", "map<string> capabilities = 2",
                          "string worker_directory = 4", "string function_app_directory = 5"],
    "WorkerInitResponse": ["map<string> capabilities = 2", "StatusResult result = 4",
                           "WorkerMetadata worker_metadata = 5"],
    "WorkerMetadata": ["string runtime_name = 1", "string runtime_version = 2", "string worker_version = 3",
                       "string worker_bitness = 4", "map<string> custom_properties = 5"],
    "StatusResult": ["string result = 1", "RpcException exception = 2", "Status status = 4"],
    "RpcException": ["string stack_trace = 1", "string message = 2", "string source = 3"],
    "BindingInfo": ["string type = 2", "Direction direction = 3", "DataType data_type = 4"],
    "RpcFunctionMetadata": ["string directory = 1", "string script_file = 2", "string entry_point = 3",
                            "string name = 4", "map<BindingInfo> bindings = 6", "bool is_proxy = 7",
                            "string language = 9", "repeated string raw_bindings = 10", "string function_id = 13",
                            "bool managed_dependency_enabled = 14", "RpcRetryOptions retry_options = 15",
                            "map<string> properties = 16"],
    "RpcRetryOptions": ["int32 max_retry_count = 2"],
    "FunctionMetadataResponse": ["repeated RpcFunctionMetadata function_metadata_results = 1",
                                 "StatusResult result = 2", "bool use_default_metadata_indexing = 3"],
    "FunctionLoadRequest": ["string function_id = 1", "RpcFunctionMetadata metadata = 2"],
    "FunctionLoadResponse": ["string function_id = 1", "StatusResult result = 2"],
    "InvocationRequest": ["string invocation_id = 1", "string function_id = 2",
                          "repeated ParameterBinding input_data = 3", "map<TypedData> trigger_metadata = 4",
                          "RpcTraceContext trace_context = 5", "RetryContext retry_context = 6"],
    "RpcTraceContext": ["string trace_parent = 1", "string trace_state = 2", "map<string> attributes = 3"],
    "RetryContext": ["int32 retry_count = 1", "int32 max_retry_count = 2", "RpcException exception = 3"],
    "InvocationResponse": ["string invocation_id = 1", "repeated ParameterBinding output_data = 2",
                           "StatusResult result = 3", "TypedData return_value = 4"],
    "ParameterBinding": ["rpc_data", "string name = 1", "|TypedData data = 2"],
    "TypedData": ["data", "|string string = 1", "|string json = 2", "|bytes bytes = 3", "|RpcHttp http = 5",
                  "|sint64 int = 6", "|double double = 7"],
    "RpcHttp": ["string method = 1", "string url = 2", "map<string> headers = 3", "TypedData body = 4",
                "map<string> params = 10", "string status_code = 12", "map<string> query = 15",
                "bool enable_content_negotiation = 16", "repeated RpcHttpCookie cookies = 19"],
    "RpcHttpCookie": ["string name = 1", "string value = 2"],
}  # fmt: skip
_ENUMS = {
    "StatusResult": {"Status": ["Failure", "Success", "Cancelled"]},
    "BindingInfo": {"Direction": ["in", "out", "inout"], "DataType": ["undefined", "string", "binary", "stream"]},
}
_FIELD = re.compile(r"(\|?)(repeated |)(?:map<(\w+)>|(\w+)) (\w+) = (\d+)")


def messages() -> Any:
    """Return a namespace of the message classes, as the engine takes them."""
    file = FileDescriptorProto(name="FunctionRpc.proto", package=_PACKAGE, syntax="proto3")
    for name, lines in _MESSAGES.items():
        message = file.message_type.add(name=name)
        _add_enums(message)
        for line in lines:
            _add_field(message, line)
    pool = DescriptorPool()
    pool.Add(file)
    found = {name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}
    return SimpleNamespace(**found)


def _add_enums(message: DescriptorProto) -> None:
    for name, values in _ENUMS.get(message.name, {}).items():
        enum = message.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)


def _add_field(message: DescriptorProto, line: str) -> None:
    match = _FIELD.fullmatch(line)
    if match is None:
        message.oneof_decl.add(name=line)
        return
    alternative, repeated, values, kind, name, number = match.groups()
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if alternative:
        field.oneof_index = 0
    if repeated or values:
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if values:
        # What a map is on the wire: repeated entries of a key, here always text, and a value.
        entry = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        _add_field(entry, "string key = 1")
        _add_field(entry, f"{values} value = 2")
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{message.name}.{entry.name}"
    elif kind in _MESSAGES:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    elif kind in _ENUMS.get(message.name, {}):
        field.type, field.type_name = FieldDescriptorProto.TYPE_ENUM, f".{_PACKAGE}.{message.name}.{kind}"
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
