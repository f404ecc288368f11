"""What the views read: every disguise is undone, and nothing else is changed."""

import importlib
import pkgutil
import unicodedata

import pytest
import spacy.lang
from support.disguises import CAPITALS, EXACT, PLAIN

from spacy_duoguard.disguises.encodings import to_selectors
from spacy_duoguard.disguises.suite import SUITE
from spacy_duoguard.engine.text.views.readings import folded, readings

TEXTS = [
    PLAIN,
    "What a nice day, isn't it? I hope so. Will you come along?",
    '"Isis is in a taxi", she said. Is it a joke?',
    "Go and kill them all",
]


def read(text):
    return {view.name: view.text for view in readings(text)}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("text", TEXTS)
def test_every_disguise_is_undone_exactly(name, text):
    disguise = EXACT[name]
    disguised = disguise.apply(text)
    found = read(disguised)[disguise.view]
    # What carries hidden text stays.
    assert found.removeprefix("\U0001f600 ") == text
    assert not readings(text)
    assert not readings(found)  # it needs no second time


@pytest.mark.parametrize("name", CAPITALS)
def test_alphabets_of_capitals_are_read_as_small_letters(name):
    disguised = CAPITALS[name].apply(PLAIN)
    assert disguised != PLAIN.lower()
    assert read(disguised) == {"folded": PLAIN.lower()}


@pytest.mark.parametrize(
    "name",
    [
        *("numbers for letters", "numbers, every second", "letters three times"),
        *("letters twice", "capitals", "swapped case", "alternating case"),
        *("precomposed accents", "words of look-alikes"),
    ],
)
def test_a_text_in_an_odd_spelling_throughout_is_read_as_a_reader_does(name):
    text = "You are a lazy idiot and they will all hate you for it today."
    found = read(SUITE[name].apply(text))["folded"]
    assert found.lower() == text.lower()
    assert not readings(text)


def test_hidden_text_is_read_after_what_carries_it():
    found = read(f"\U0001f600{to_selectors('kill them all')} ok")
    assert found["decoded"] == "\U0001f600 kill them all ok"
    tags = "".join(chr(0xE0000 + ord(c)) for c in "kill them")
    assert read(f"Hello{tags}, you")["decoded"] == "Hello kill them , you"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("you are a k1ller and a r4pist", "you are a killer and a rapist"),
        ("what a$$hole says sh!t", "what asshole says shit"),
        ("1 h473 y0u 4nd w1ll k1ll y0u 411", "i hate you and will kill you all"),
        ("\u043deнавижу", "\u043d\u0435навижу"),  # a Latin letter in a Russian word
        ("все говорят: с\u0443к\u0061", "все говорят: с\u0443к\u0430"),
        ("I \u0493\u03b1te h\u03b1te", "I \u0493\u03b1te hate"),
        # With a Russian word; short, but in several alphabets; with palochka and ze.
        ("ѕһе іѕ а геаӏ ріесе оϝ ѕһіт, да", "she is a real piece of shit, да"),
        ("һе іѕ оϝ ոо υѕе", "he is of no use"),
        (
            "ӏаз\u0443 \u0430ѕѕе\u0455 \u0430ге \u0430ӏӏ оνег тһе рӏасе",
            "lazy asses are all over the place",
        ),
        ("ki11 h1m, k111 th3m in 1ife, f001", "kill him, kill them in life, fool"),
        ("go to h e l l , now", "go to hell, now"),
        ("M.I.E.R.D.A y ya", "MIERDA y ya"),
        ("S&#x65;nd it &amp; smile", "Send it & smile"),
        ("I%20hate+you", "I hate you"),
        ("\\ud83d\\ude00 \\u{68}i", "\U0001f600 hi"),
        ("&amp;#104;ate", "hate"),
        ("I will ʇɐǝɥ you", "I will heat you"),
        ("I ʍᴉll ɥǝɐʇ Auɐ", "I will heat Ana"),
        ("ʇɐǝɥ llᴉʍ I", "I will heat"),
        ("ʇɐǝɥ noʎ", "taeh uoy you heat"),
        # A sign at the end may be that of the sentence around the word.
        ("You worthless ʇoᴉpᴉ.", "You worthless toidi idiot."),
        ("You worthless ʇoᴉpᴉ, go away", "You worthless idiot, go away"),
        ("I WILL ꓘILL YOU, ꓷRUNꓘ ꓷOG", "i will kill you, drunk dog"),
        ("˙ᴚ∀Ǝᗡ S⊥∩ꓭ ∩OԀ", "pou buts dear."),
        ("\U0001f1a5ie now", "die now"),
        ("ηλίθiε", "ηλίθιε"),  # a Latin letter in a Greek word
        ("I will kill уоu, а", "I will kill you, a"),
        ("\U0001f1ed\U0001f1e6\U0001f1f9", "hat"),
        ("t \t \t w \t \t o  words  h  ere", "t w o words h ere"),
    ],
)
def test_disguised_words_among_others_are_read(text, expected):
    assert expected in read(text).values()


LANGUAGES = [module.name for module in pkgutil.iter_modules(spacy.lang.__path__)]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_sentences_of_all_languages_stay_themselves(form):
    n_sentences = 0
    for language in LANGUAGES:
        try:
            module = importlib.import_module(f"spacy.lang.{language}.examples")
        except ModuleNotFoundError:
            continue
        for sentence in module.sentences:
            assert not readings(unicodedata.normalize(form, sentence)), language
            n_sentences += 1
    assert n_sentences > 400


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n ",
        "covid19, mp3, b2b, 1st, 3D, H2O, AK47, iPhone15, x86, utf8 and 4x4",
        "deadbeefcafe 0xdeadbeef 550e8400-e29b-41d4-a716-446655440000",
        "d41d8cd98f00b204e9800998ecf8427e",
        "Call 555-0123 or +49 30 901820, at 10:30 on 2024-01-05.",
        "The U.S.A. and the U.K., e.g. J. R. R. Tolkien, at 3 p.m.",
        "A) B) C) D), x + y = z, and a, b, c, d",
        "Questions?answers/internationalization/ConfigurationManager",
        "First.\n\nSecond.  Third.\n    def f(x):\n        return x\n",
        "\u2764\ufe0f 1\ufe0f\u20e3 \U0001f468\u200d\U0001f469\u200d\U0001f467 "
        "\U0001f1fa\U0001f1f8 \U0001f1eb\U0001f1f7"
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می‌خواهم کتاب‌هایم را ببینم",
        "Tシャツ、カラオケ。ｶﾀｶﾅ：１２３！½ ²",
        "ㅋㅋㅋ 진짜?",
        "Brand™ №5, 25℃, 1º de mayo, Mª José, m²…",
        "Fish &amp; chips &quot;to go&quot; &lt;b&gt;",
        "1. d4 d5 2. c4 Nf6 3. Nc3 c6 4. Nf3 Bg4 5. h3 Bxf3 6. exf3 e6 7. Bd3 Nbd7",
        "user@example.com, AKIAIOSFODNN7EXAMPLE, x = a[1] + b[2]",
        "100% sure, 50%off, C:\\users\\new",
        "ısınıp ısıran sınıflı ılı",
        "[ˈkɪlɪŋ ðə ˈɹɛd ˈkæt]",
        "NASA and ESA said: STOP! The BBC was there, IMHO.",
        "See getElementById, innerHTML, onClick, iOS, eBay and kWh in McDonald's.",
        "Aaah, soooo good!!! Hmmm, zzz... www.example.com",
        "BREAKING NEWS: the mayor of Springfield has resigned this morning.",
        "Năm nay, đội tuyển bóng đá Việt Nam đã thắng ở nhiều trận đấu.",
        "Příliš žluťoučký kůň úpěl ďábelské ódy.",
        "нет, там у нас нет сот",
        "у нас нет мест, а от метро до вас пять минут",
        "Wi-Fi, USB-кабель и SIM-карта; 5G-сеть",
        "I love you ❤️❤️ ok ☀️☺️✌️ 🤷‍♀️ ▶️ play ⏸️",
        "Danke ❤️‍🔥 👨‍⚕️ 👩‍👩‍👧‍👦 🏳️‍🌈 1️⃣ open 2️⃣ click 3️⃣ go",
        "TNF-α, β-sheet, 10 μm and 5 µs: sin α + cos β",
        "| Ann  | 30  | yes  |\n| Bob  | 25  | no   |",
    ],
)
def test_ordinary_text_stays_itself(text):
    assert not readings(text)


def test_a_flag_is_no_word():
    assert folded("\U0001f1fa\U0001f1f8") is None
