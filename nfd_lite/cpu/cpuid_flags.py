"""CPUID feature bits of x86 as data, with the names of Node Feature Discovery.

Sources: Intel SDM volume 2A (CPUID), Intel Architecture Instruction Set Extensions reference, AMD64 APM volume 3 appendix E.
"""

import re

import msgspec

EAX, EBX, ECX, EDX = range(4)


class FlagBit(msgspec.Struct, frozen=True, kw_only=True):
    """A flag is present if `bit` of `register` (0 EAX .. 3 EDX) is set and all `needs` are fulfilled: other flags, or conditions.

    Conditions: YMM and ZMM (the operating system saves these registers, see XCR0), AMD (the vendor is AMD).
    """

    leaf: int
    subleaf: int
    register: int
    bit: int
    name: str
    needs: tuple[str, ...]


def _row(leaf: int, subleaf: int, register: int, bits: str, *needs: str) -> tuple[FlagBit, ...]:
    """Parses the bits of one register. `3:ERMS 5:AVX2(AVX)`: bit 3, and bit 5, which needs AVX. needs: requirements of all bits."""
    return tuple(
        FlagBit(
            leaf=leaf,
            subleaf=subleaf,
            register=register,
            bit=int(bit),
            name=name,
            needs=(*needs, *filter(None, own.split(","))),
        )
        for bit, name, own in re.findall(r"(\d+):(\w+)(?:\(([\w,]+)\))?", bits)
    )


FLAG_BITS: tuple[FlagBit, ...] = (
    # XSAVE and OSXSAVE have bits of their own. Upstream derives both from SSE3.
    *_row(1, 0, ECX, "0:SSE3 1:CLMUL 5:VMX 9:SSSE3 12:FMA3(OSXSAVE) 13:CX16 19:SSE4 20:SSE42 22:MOVBE 23:POPCNT"),
    *_row(1, 0, ECX, "25:AESNI 26:XSAVE 27:OSXSAVE 28:AVX(XSAVE,OSXSAVE,YMM) 29:F16C 30:RDRAND 31:HYPERVISOR"),
    *_row(1, 0, EDX, "0:X87 8:CMPXCHG8 11:SYSEE 15:CMOV 23:MMX 24:FXSR 25:FXSROPT 25:SSE 26:SSE2"),
    *_row(7, 0, EBX, "2:SGX 3:BMI1 4:HLE 5:AVX2(AVX) 8:BMI2(BMI1) 9:ERMS 11:RTM 14:MPX 18:RDSEED 19:ADX 29:SHA"),
    *_row(7, 0, EBX, "16:AVX512F 17:AVX512DQ 21:AVX512IFMA 26:AVX512PF 27:AVX512ER 28:AVX512CD", "ZMM"),
    *_row(7, 0, EBX, "30:AVX512BW 31:AVX512VL", "ZMM"),
    *_row(7, 0, ECX, "5:WAITPKG 7:CETSS 8:GFNI 9:VAES 10:VPCLMULQDQ 13:TME 23:KEYLOCKER 25:CLDEMOTE 27:MOVDIRI"),
    *_row(7, 0, ECX, "28:MOVDIR64B 29:ENQCMD 30:SGXLC"),
    # Bit 3 is PKU. Upstream reads this bit as AMXFP8.
    *_row(7, 0, ECX, "1:AVX512VBMI 6:AVX512VBMI2 11:AVX512VNNI 12:AVX512BITALG 14:AVX512VPOPCNTDQ", "ZMM"),
    *_row(7, 0, EDX, "4:FSRM 9:SRBDS_CTRL 10:MD_CLEAR 11:RTM_ALWAYS_ABORT 14:SERIALIZE 15:HYBRID_CPU 16:TSXLDTRK"),
    *_row(7, 0, EDX, "18:PCONFIG 20:CETIBT 26:IBPB 27:STIBP 28:FLUSH_L1D 29:IA32_ARCH_CAP 30:IA32_CORE_CAP"),
    *_row(7, 0, EDX, "31:SPEC_CTRL_SSBD"),
    *_row(7, 0, EDX, "8:AVX512VP2INTERSECT 22:AMXBF16 23:AVX512FP16 24:AMXTILE 25:AMXINT8", "ZMM"),
    *_row(7, 1, EAX, "1:SM3_X86 2:SM4_X86 4:AVXVNNI(AVX) 7:CMPCCXADD 10:MOVSB_ZL 11:STOSB_SHORT 12:CMPSB_SCADBS_SHORT"),
    *_row(7, 1, EAX, "22:HRESET 23:AVXIFMA 26:LAM"),
    *_row(7, 1, EAX, "5:AVX512BF16 19:WRMSRNS 21:AMXFP16 27:MSRLIST", "ZMM"),
    *_row(7, 1, EDX, "4:AVXVNNIINT8 5:AVXNECONVERT 6:AMXTRANSPOSE 7:AMXTF32 8:AMXCOMPLEX 10:AVXVNNIINT16"),
    *_row(7, 1, EDX, "14:PREFETCHI 19:AVX10 21:APX_F"),
    *_row(7, 2, EDX, "0:PSFD 1:IDPRED_CTRL 2:RRSBA_CTRL 4:BHI_CTRL 5:MCDT_NO"),
    *_row(0xD, 1, EAX, "0:XSAVEOPT 1:XSAVEC 2:XGETBV1 3:XSAVES", "XSAVE"),
    *_row(0x12, 0, EAX, "12:SGXPQC", "SGX"),
    *_row(0x1E, 1, EAX, "4:AMXFP8", "AMXTILE", "ZMM"),
    *_row(0x24, 0, EBX, "16:AVX10_128 17:AVX10_256 18:AVX10_512", "AVX10"),
    *_row(0x80000001, 0, ECX, "0:LAHF 2:SVM 5:LZCNT 5:POPCNT 6:SSE4A 10:IBS 11:XOP(AVX) 16:FMA4(AVX) 22:TOPEXT"),
    *_row(0x80000001, 0, EDX, "11:SYSCALL 20:NX 22:MMXEXT 23:MMX 24:FXSR 25:FXSROPT 27:RDTSCP 30:AMD3DNOWEXT"),
    *_row(0x80000001, 0, EDX, "31:AMD3DNOW"),
    *_row(0x80000007, 0, EBX, "0:MCAOVERFLOW 1:SUCCOR 2:HWA"),
    *_row(0x80000007, 0, EDX, "9:CPBOOST"),
    *_row(0x80000008, 0, EBX, "0:CLZERO 1:MSRIRC 3:INVLPGB 4:RDPRU 8:MCOMMIT 9:WBNOINVD 12:IBPB 13:INT_WBINVD 14:IBRS"),
    *_row(0x80000008, 0, EBX, "15:STIBP 17:STIBP_ALWAYSON 18:IBRS_PREFERRED 19:IBRS_PROVIDES_SMP 20:EFER_LMSLE_UNS"),
    *_row(0x80000008, 0, EBX, "21:TLB_FLUSH_NESTED 23:PPIN 24:SPEC_CTRL_SSBD 27:CPPC 28:PSFD"),
    *_row(0x8000000A, 0, EDX, "0:SVMNP 1:LBRVIRT 2:SVML 3:NRIPS 4:TSCRATEMSR 5:VMCBCLEAN 6:SVMFBASID 7:SVMDA", "SVM"),
    *_row(0x8000000A, 0, EDX, "10:SVMPF 12:SVMPFT", "SVM"),
    *_row(0x8000001A, 0, EAX, "0:FP128 1:MOVU 2:FP256"),
    *_row(0x8000001B, 0, EAX, "0:IBSFFV 1:IBSFETCHSAM 2:IBSOPSAM 3:IBSRDWROPCNT 4:IBSOPCNT 5:IBSBRNTRGT", "IBS"),
    *_row(0x8000001B, 0, EAX, "6:IBSOPCNTEXT 7:IBSRIPINVALIDCHK 8:IBS_OPFUSE 9:IBS_FETCH_CTLX 10:IBS_OPDATA4", "IBS"),
    *_row(0x8000001B, 0, EAX, "11:IBS_ZEN4", "IBS"),
    *_row(0x8000001F, 0, EAX, "0:SME 1:SEV 2:MSR_PAGEFLUSH 3:SEV_ES 4:SEV_SNP 5:VMPL 10:SME_COHERENT", "AMD"),
    *_row(0x8000001F, 0, EAX, "11:SEV_64BIT 12:SEV_RESTRICTED 13:SEV_ALTERNATIVE 14:SEV_DEBUGSWAP", "AMD"),
    *_row(0x8000001F, 0, EAX, "15:IBS_PREVENTHOST 16:VTE 24:VMSA_REGPROT", "AMD"),
    *_row(0x80000021, 0, EAX, "5:TSA_VERW_CLEAR 23:AVX512BMM 27:SBPB 28:IBPB_BRTYPE 29:SRSO_NO", "AMD"),
    *_row(0x80000021, 0, EAX, "30:SRSO_USER_KERNEL_NO 31:SRSO_MSR_FIX", "AMD"),
    *_row(0x80000021, 0, ECX, "1:TSA_L1_NO 2:TSA_SQ_NO", "AMD"),
)

MICROARCHITECTURE_LEVELS: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "CMOV CMPXCHG8 X87 FXSR MMX SSE SSE2",
        "CX16 LAHF POPCNT SSE3 SSE4 SSE42 SSSE3",
        "AVX AVX2 BMI1 BMI2 F16C FMA3 LZCNT MOVBE OSXSAVE",
        "AVX512F AVX512BW AVX512CD AVX512DQ AVX512VL",
    )
)
"""The flags that each level from x86-64-v1 to x86-64-v4 adds to the level below (x86-64 psABI, section 3.1.1)."""

FIXED_COUNTERS = tuple(f"PMU_FIXEDCOUNTER_{name}" for name in ("INSTRUCTIONS", "CYCLES", "REFCYCLES", "TOPDOWN_SLOTS"))
